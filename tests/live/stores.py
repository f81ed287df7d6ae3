"""The databases that the projectors of a chaos run fill, and what they hold beside a rebuild.

Place in the flow: the rig starts a projector for each of them; faults kill them; at the end each is
compared with a projection made anew from the whole log. Where one cannot be had it says so, and the
run goes on without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from coordinator.core.ports import LogReader
from coordinator.settings import Settings
from ops.servers_base import CannotStart, Server
from ops.servers_postgres import PostgresServer
from ops.servers_redis import RedisServer
from projections.errors import ProjectionError
from projections.rebuild import RebuildReport, rebuild
from projections.running import rebuildable, view
from projections.status import ProjectionStatus, status
from tests.live.system import until

__all__ = ["KINDS", "Stores", "compared", "unlike"]

KINDS: Mapping[str, type[Server]] = MappingProxyType(
    {"postgres": PostgresServer, "redis": RedisServer}
)
"""By the name of the projection."""


@dataclass(slots=True)
class Stores:
    """Servers by the name of the projection that they hold; missing: why there is none."""

    servers: dict[str, Server] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def start(self, folder: Path) -> None:
        """All that can be had here."""
        for name, kind in KINDS.items():
            server = kind(folder / name)
            try:
                server.start()
            except CannotStart as failure:
                self.missing[name] = str(failure)
                server.remove()
            else:
                self.servers[name] = server

    def close(self) -> None:
        """End them, and delete what they hold."""
        for server in self.servers.values():
            server.kill()
            server.remove()

    @property
    def environment(self) -> dict[str, str]:
        """Where they are, for a projector."""
        return {k: v for server in self.servers.values() for k, v in server.settings().items()}

    def settings(self) -> Settings:
        """Where they are, for whoever looks at them."""
        found: dict[str, Any] = {}
        for name, value in self.environment.items():
            section, _, key = name.removeprefix("COORDINATOR_").lower().partition("__")
            found.setdefault(section, {})[key] = value
        return Settings(**found)


def compared(
    name: str, settings: Settings, log: LogReader, *, within_s: float
) -> tuple[list[str], int]:
    """What is wrong with a projection of a log that has ended, and how many rows were compared.

    It must reach the log's end within the bound, and hold what one made from the beginning holds.
    """
    last: list[ProjectionStatus] = []

    def reached() -> bool:
        last[:] = [status(name, view(settings, name), log)]
        return last[0].version is not None and last[0].lag_records == 0

    try:
        until("the log's end", reached, within_s=within_s, every_s=0.5)
    except TimeoutError as error:
        now = last[0]
        where = now.error or f"version {now.version}, {now.lag_records} records behind"
        return [f"projection {name}: {error}: {where}"], 0
    try:
        report = rebuild(log, rebuildable(settings, name), check=True)
    except ProjectionError as error:
        return [f"projection {name}: it cannot be rebuilt: {error}"], 0
    return unlike(report), sum(one.built.rows for one in report.views)


def unlike(report: RebuildReport) -> list[str]:
    """What a rebuild found to differ, and that there was something to compare."""
    found = [f"projection {report.name}: {line}" for line in report.differences]
    if report.obstacle:
        found.append(f"projection {report.name}: not compared: {report.obstacle}")
    if not report.views or any(one.live is None for one in report.views):
        found.append(f"projection {report.name}: there was nothing to compare with")
    return found
