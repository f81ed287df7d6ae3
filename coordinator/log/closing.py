"""What closes itself: the one spelling of `with` for all logs.

Place in the flow: beneath every adapter. It must do nothing but call `close`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["Closing"]


class Closing:
    """A context manager that closes what it is; subclasses say how."""

    def close(self) -> None:
        """Release what is held; closing twice is harmless."""

    def __enter__(self) -> Self:
        """The log itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()
