"""Every setting of the engine's processes: flag over environment over TOML file over default.

Place in the flow: read once, where a command starts, and passed down as frozen objects. Must never
open a connection, hold a secret in a default, or show one.
"""

from __future__ import annotations

from coordinator.settings.errors import SettingsError
from coordinator.settings.load import PREFIX, load_settings
from coordinator.settings.redaction import REDACTED, Redactor
from coordinator.settings.reference import Setting, reference, reference_page
from coordinator.settings.sections import (
    HttpSettings,
    KafkaSettings,
    LogSettings,
    PostgresSettings,
    RedisSettings,
    Settings,
    WorkerSettings,
)

__all__ = [
    "PREFIX",
    "REDACTED",
    "HttpSettings",
    "KafkaSettings",
    "LogSettings",
    "PostgresSettings",
    "Redactor",
    "RedisSettings",
    "Setting",
    "Settings",
    "SettingsError",
    "WorkerSettings",
    "load_settings",
    "reference",
    "reference_page",
]
