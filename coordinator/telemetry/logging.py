"""Structured logs on stderr: one JSON object a line, ours and those of every library.

Place in the flow: set up once, by a command, before anything is started; then
`structlog.get_logger(__name__).info("checkpoint_written", shard=3)` anywhere in the shells. Must
never end the process because a line could not be written, nor write a secret.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from coordinator.settings import LogSettings, Redactor

__all__ = ["TEXT_LENGTH_MAX", "configure_logging"]

TEXT_LENGTH_MAX = 8192
"""A longer text is cut: a poison record in an error must not fill the disk."""
FRAMES_MAX = 20

_LIBRARIES = ("aiohttp", "aiokafka", "asyncio", "faust", "mode", "psycopg", "redis")
_CHATTY = ("aiokafka", "faust", "kafka", "mode", "coordinator.shells.live")
"""Say every step at level info, in dozens of lines a start: heard from warning on. The last is what
mode says in the name of our own classes; ours are named by their part."""
_FIRST = ("time", "level", "logger", "event")


def configure_logging(settings: LogSettings, *, secrets: Iterable[str] = ()) -> None:
    """Make every log line of this process go to stderr in one form.

    secrets: values that no line may hold (`Settings.secrets()`). Errors that nobody caught and
    warnings are lines too. May be called again: the last call counts.
    """
    redactor = Redactor(secrets)
    own: tuple[Processor, ...] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    )
    handler = _Handler(redactor)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*own, structlog.stdlib.ExtraAdder(), _without_traces],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(settings, redactor),
            ],
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *own,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    _take_over(handler, settings.level.upper())
    _hear_uncaught()


def _take_over(handler: logging.Handler, level: str) -> None:
    """The root logger has this handler only; what libraries set up for themselves is undone."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        # Exactly a StreamHandler: what logging.basicConfig and Faust make. A test's stay.
        if isinstance(old, _Handler) or type(old) is logging.StreamHandler:
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in _LIBRARIES:
            logger.handlers.clear()
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
    _quieten(heard=logging.getLevelNamesMapping()[level])
    logging.captureWarnings(capture=True)


def _quieten(*, heard: int) -> None:
    """What libraries tell step by step is for who asks for level debug."""
    debug = heard <= logging.DEBUG
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if debug else max(heard, logging.WARNING))
    coordination = logging.getLogger("aiokafka.consumer.group_coordinator")
    coordination.removeFilter(_not_yet_there)
    if not debug:
        coordination.addFilter(_not_yet_there)


def _not_yet_there(record: logging.LogRecord) -> bool:
    """Passes all but one: a new cluster's first client asks for what the cluster only then makes.

    aiokafka calls it an error and asks again; where it stays away, /readyz says so.
    """
    told = record.args if isinstance(record.args, tuple) else ()
    return all(type(one).__name__ != "GroupCoordinatorNotAvailableError" for one in told)


def _rendering(settings: LogSettings, redactor: Redactor) -> list[Processor]:
    exceptions = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(
            show_locals=False, max_frames=FRAMES_MAX, use_rich=False
        )
    )
    if settings.format == "json":
        return [exceptions, _Plain(redactor), _ordered, structlog.processors.JSONRenderer(_dumps)]
    console = structlog.dev.ConsoleRenderer(
        colors=not os.environ.get("NO_COLOR") and _is_terminal(), timestamp_key="time"
    )
    return [structlog.processors.format_exc_info, _Plain(redactor), _one_line, console]


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


class _Plain:
    """Everything of a line as plain data: secrets hidden, long texts cut."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        plain = _cut(self._redactor.value(event))
        return plain if isinstance(plain, dict) else {"event": plain}


def _cut(value: object) -> object:
    if isinstance(value, str) and len(value) > TEXT_LENGTH_MAX:
        return f"{value[:TEXT_LENGTH_MAX]}... ({len(value)} characters)"
    if isinstance(value, dict):
        return {_cut(name): _cut(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_cut(inner) for inner in value]
    return value


def _without_traces(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A library's record without what another handler's formatter left on it."""
    for name in ("message", "asctime"):
        event.pop(name, None)
    return event


def _ordered(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = {name: event[name] for name in _FIRST if name in event}
    return {**first, **event}


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The event without line ends: a message of somebody else must not look like two of ours."""
    text = str(event.get("event", ""))
    shown = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
    return {**event, "event": shown}


def _dumps(event: object, **_options: object) -> str:
    return json.dumps(event, separators=(",", ":"), allow_nan=False)


class _Handler(logging.Handler):
    """Writes lines to whatever stderr is now. A line that cannot be written is gone."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, or that it could not be formatted, or nothing."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a line that a library built wrong is still told
            line = self._unformatted(record, error)
        stream = sys.stderr
        try:
            stream.write(f"{line}\n")
            stream.flush()
        except BrokenPipeError:
            _let_go_of_stderr()
        except (OSError, ValueError, AttributeError):
            # Closed, full, or none at all: work goes on without its log.
            return

    def _unformatted(self, record: logging.LogRecord, error: Exception) -> str:
        plain = {
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": "log_line_not_formatted",
            "template": str(record.msg)[:TEXT_LENGTH_MAX],
            "error": type(error).__name__,
        }
        return _dumps(self._redactor.value(plain))


def _let_go_of_stderr() -> None:
    """Nobody reads it any more: later lines go nowhere, and leaving is no error either."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


def _hear_uncaught() -> None:
    """Errors that end a thread or the process become lines, without secrets, like all others."""
    log = structlog.get_logger("coordinator")

    def main_thread(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        log.critical("uncaught_error", exc_info=(kind, error, trace))

    def other_thread(failure: threading.ExceptHookArgs) -> None:
        if failure.exc_value is None or issubclass(failure.exc_type, SystemExit):
            return
        found = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        name = failure.thread.name if failure.thread else "unknown"
        log.critical("uncaught_error_in_thread", thread=name, exc_info=found)

    def unraisable(failure: sys.UnraisableHookArgs) -> None:
        error = failure.exc_value
        if error is not None:
            found = (failure.exc_type, error, failure.exc_traceback)
            log.error("error_in_finalizer", where=failure.err_msg, exc_info=found)

    hooks: tuple[tuple[object, str, Callable[..., None]], ...] = (
        (sys, "excepthook", main_thread),
        (threading, "excepthook", other_thread),
        (sys, "unraisablehook", unraisable),
    )
    for module, name, hook in hooks:
        setattr(module, name, hook)
