"""A run for people: its figures, and one HTML file that needs no network."""

from replay.report.page import write_report
from replay.report.summary import Run, Summary, fold, summarise

__all__ = ["Run", "Summary", "fold", "summarise", "write_report"]
