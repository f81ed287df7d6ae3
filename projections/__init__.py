"""Views of the truth for people and services: disposable, rebuilt from the log at any time."""

from projections.apply import apply
from projections.frames import frames, rows
from projections.rows import VIEWS, AsOf, Row

__all__ = ["VIEWS", "AsOf", "Row", "apply", "frames", "rows"]
