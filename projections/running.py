"""The projections by their names: from settings to a projector, a rebuild or a view of one.

Place in the flow: asked by the commands and by the live shell; each driver is loaded only when its
projection is asked for. Must never start anything by being imported.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from coordinator.core.ports import LogReader
from coordinator.settings import Settings, SettingsError
from projections.projector import PACE, HealthBoard, Pace, Projector, lag_gauges

if TYPE_CHECKING:
    from projections.rebuild import Rebuildable
    from projections.sink import Sink, View

__all__ = [
    "NAMES",
    "configured",
    "projector",
    "rebuildable",
    "run_postgres",
    "run_projection",
    "run_redis",
    "sink",
    "view",
]

NAMES = ("postgres", "redis")


def configured(settings: Settings) -> tuple[str, ...]:
    """The projections that the settings name a database for."""
    given = {"postgres": settings.postgres.dsn, "redis": settings.redis.url}
    return tuple(name for name in NAMES if given[name] is not None)


def sink(settings: Settings, name: str) -> Sink:
    """The writer of a projection, not open yet. Raises SettingsError where no database is set."""
    if name == "postgres":
        from projections.postgres.sink import PostgresSink  # noqa: PLC0415 - loads the driver

        return PostgresSink(_dsn(settings), settings.postgres.schema)
    from projections.redis.sink import RedisSink  # noqa: PLC0415 - loads the driver

    return RedisSink(_url(settings), settings.redis.prefix)


def rebuildable(settings: Settings, name: str, *, keep_old: bool = False) -> Rebuildable:
    """The rebuild of a projection, not begun yet. Raises SettingsError."""
    if name == "postgres":
        from projections.postgres.rebuild import PostgresRebuild  # noqa: PLC0415 - as above

        return PostgresRebuild(_dsn(settings), settings.postgres.schema, keep_old=keep_old)
    from projections.redis.rebuild import RedisRebuild  # noqa: PLC0415 - as above

    made = RedisRebuild(_url(settings), settings.redis.prefix)
    if keep_old:
        made.old_seconds = -1
    return made


def view(settings: Settings, name: str) -> View:
    """A projection to be looked at, for a digest or its state. Raises SettingsError."""
    if name == "postgres":
        from projections.postgres.reading import PostgresView  # noqa: PLC0415 - loads the driver

        return PostgresView(_dsn(settings), settings.postgres.schema)
    from projections.redis.reading import RedisView  # noqa: PLC0415 - loads the driver

    return RedisView(_url(settings), settings.redis.prefix)


def projector(
    settings: Settings,
    name: str,
    reader: LogReader,
    *,
    pace: Pace = PACE,
    health: HealthBoard | None = None,
    metrics: Any = None,
) -> Projector:
    """A projector of that name on a log. metrics: coordinator.telemetry's. Raises SettingsError."""
    gauges = None if metrics is None else lag_gauges(metrics)
    return Projector(reader, sink(settings, name), pace=pace, health=health, gauges=gauges)


def run_projection(
    name: str,
    settings: Settings,
    reader: LogReader,
    stop: threading.Event,
    *,
    health: HealthBoard | None = None,
    metrics: Any = None,
) -> None:
    """Keep a projection up to date until stop is set.

    Raises SettingsError, projections.errors.ProjectionStopped, and the log's errors.
    """
    projector(settings, name, reader, health=health, metrics=metrics).run(stop)


def run_postgres(
    settings: Settings, reader: LogReader, stop: threading.Event, **telemetry: Any
) -> None:
    """run_projection of "postgres"; telemetry: health, metrics."""
    run_projection("postgres", settings, reader, stop, **telemetry)


def run_redis(
    settings: Settings, reader: LogReader, stop: threading.Event, **telemetry: Any
) -> None:
    """run_projection of "redis"; telemetry: health, metrics."""
    run_projection("redis", settings, reader, stop, **telemetry)


def _dsn(settings: Settings) -> str:
    if settings.postgres.dsn is None:
        raise SettingsError("postgres.dsn is not set; give COORDINATOR_POSTGRES__DSN or dsn_file")
    return settings.postgres.dsn.get_secret_value()


def _url(settings: Settings) -> str:
    if settings.redis.url is None:
        raise SettingsError("redis.url is not set; give COORDINATOR_REDIS__URL or url_file")
    return settings.redis.url.get_secret_value()
