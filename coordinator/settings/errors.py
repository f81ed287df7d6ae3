"""The one error of the settings: says which setting, where it was given, and what to do.

Place in the flow: raised while settings are read, before anything is started. Must never carry a
secret in its text.
"""

from __future__ import annotations

__all__ = ["SettingsError"]


class SettingsError(ValueError):
    """A setting is unknown, unreadable or impossible; nothing was started. Exit code 2."""
