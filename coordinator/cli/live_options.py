"""Options that all commands with settings share: the file, the cluster, and single settings.

Place in the flow: the outermost edge; flags stand above the environment, the file and the defaults.
It must never take a secret as a flag: other users of a machine see them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from coordinator.settings import Settings, load_settings

__all__ = ["add_settings", "settings_of"]


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group(
        "settings", "above the environment (COORDINATOR_...) and the file; see ops/docs/settings.md"
    )
    group.add_argument("--config", type=Path, metavar="FILE", help="settings file (TOML)")
    group.add_argument("--bootstrap", metavar="HOST:PORT", help="Kafka brokers to start from")
    group.add_argument("--prefix", metavar="TEXT", help="before every topic's name")
    group.add_argument("--shards", type=int, metavar="N", help="shards of the whole engine")


def settings_of(args: argparse.Namespace, **flags: object) -> Settings:
    """The settings of this command. Raises SettingsError."""
    return load_settings(
        args.config,
        kafka__bootstrap=args.bootstrap,
        kafka__prefix=args.prefix,
        worker__shards=args.shards,
        **flags,
    )
