"""A run for people: its figures, and one HTML file that needs no network."""

from replay.report.page import write_report
from replay.report.summary import Summary, summarise

__all__ = ["Summary", "summarise", "write_report"]
