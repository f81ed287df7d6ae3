"""A Faust app that makes no folders: its tables live in memory, so there is nothing to put there.

Place in the flow: what the delivery and the views make of Faust. Faust itself makes a data folder,
named after the app, in whatever folder the process was started. It must never be used with tables
that are files.
"""

from __future__ import annotations

import faust

__all__ = ["FolderlessApp"]


class FolderlessApp(faust.App):
    """As any app, and leaves nothing behind."""

    def _create_directories(self) -> None:
        """Called by Faust when it starts."""
