"""Every line is one JSON object on stderr, whoever says it, and holds no secret."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog
from aiokafka.errors import GroupCoordinatorNotAvailableError, NodeNotReadyError
from hypothesis import given
from hypothesis import strategies as st

from coordinator.settings import REDACTED, LogSettings
from coordinator.telemetry.logging import TEXT_LENGTH_MAX, configure_logging

CHATTY = ("aiokafka", "faust", "kafka", "mode", "coordinator.shells.live")
LIBRARIES = ("aiokafka.conn", "faust.app.base", "mode.supervisors", "some.other")
SECRETS = st.text(min_size=6, max_size=30).filter(lambda text: len(set(text)) > 3)
TIMEOUT_S = 60


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What configure_logging changes for the whole process is changed back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    structlog.reset_defaults()


Stderr = pytest.CaptureFixture[str]


def configure(settings: LogSettings, *, secrets: Iterable[str] = ()) -> None:
    """Without pytest's own handlers, which raise for a line that is built wrong."""
    logging.getLogger().handlers.clear()
    configure_logging(settings, secrets=secrets)


def lines(stderr: Stderr) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.readouterr().err.splitlines()]


def test_a_line_of_ours_is_one_json_object_with_time_level_and_fields(capsys: Stderr) -> None:
    configure(LogSettings())
    log = structlog.get_logger("coordinator.shells.worker")
    log.info("shard_taken", shard=3, at=float("nan"), path=Path("x"), nested={"a": [1, None]})
    (line,) = lines(capsys)
    assert list(line)[:4] == ["time", "level", "logger", "event"]
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "coordinator.shells.worker",
        "event": "shard_taken",
        "shard": 3,
        "at": "nan",
        "path": repr(Path("x")),
        "nested": {"a": [1, None]},
    }


@pytest.mark.parametrize("name", CHATTY)
def test_what_a_library_tells_step_by_step_is_for_level_debug(capsys: Stderr, name: str) -> None:
    library = logging.getLogger(f"{name}.some.part")
    configure(LogSettings())
    library.info("Updating subscribed topics")
    library.warning("lost a broker")
    structlog.get_logger("engine").info("part_started")
    assert [line["event"] for line in lines(capsys)] == ["lost a broker", "part_started"]
    configure(LogSettings(level="debug"))
    library.info("Updating subscribed topics")
    configure(LogSettings(level="error"))
    library.warning("lost a broker")
    assert [line["event"] for line in lines(capsys)] == ["Updating subscribed topics"]


def test_that_a_new_cluster_has_no_group_coordinator_yet_is_no_error(capsys: Stderr) -> None:
    said = logging.getLogger("aiokafka.consumer.group_coordinator")

    def tell(level: Literal["info", "debug"]) -> list[str]:
        configure(LogSettings(level=level))
        for error in (GroupCoordinatorNotAvailableError(), NodeNotReadyError()):
            said.error("Group Coordinator Request failed: %s", error)
        return [line["event"].rpartition(" ")[2] for line in lines(capsys)]

    assert tell("info") == ["NodeNotReadyError"]
    assert tell("debug") == ["GroupCoordinatorNotAvailableError", "NodeNotReadyError"]
    assert tell("info") == ["NodeNotReadyError"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_a_library_logs_goes_the_same_way(capsys: Stderr, name: str) -> None:
    library = logging.getLogger(name)
    library.handlers[:] = [logging.StreamHandler()] if name != "some.other" else []
    library.propagate = name == "some.other"
    configure(LogSettings())
    library.warning("lost %s of %d", "broker", 3, extra={"node": 7})
    (line,) = lines(capsys)
    assert (line["logger"], line["level"]) == (name, "warning")
    assert (line["event"], line["node"]) == ("lost broker of 3", 7)


@pytest.mark.parametrize("foreign", [False, True])
def test_an_error_is_a_structured_field_with_its_causes(capsys: Stderr, foreign: bool) -> None:
    configure(LogSettings(), secrets=["sesame"])
    log: Any = logging.getLogger("mode") if foreign else structlog.get_logger("x")
    try:
        try:
            raise OSError("password=sesame refused")  # noqa: TRY301 - a cause is what is wanted
        except OSError as error:
            error.add_note("tried sesame")
            raise ValueError("sesame") from error
    except ValueError:
        log.exception("it_broke")
    (line,) = lines(capsys)
    outer, cause = line["exception"]
    assert (outer["exc_type"], outer["exc_value"]) == ("ValueError", REDACTED)
    assert (cause["exc_type"], cause["is_cause"]) == ("OSError", True)
    assert cause["frames"][-1]["name"] == "test_an_error_is_a_structured_field_with_its_causes"
    assert "locals" not in cause["frames"][-1]


def test_only_what_is_grave_enough_is_logged_also_of_libraries(capsys: Stderr) -> None:
    logging.getLogger("faust").setLevel(logging.DEBUG)
    configure(LogSettings(level="warning"))
    for logger in (structlog.get_logger("ours"), logging.getLogger("faust")):
        logger.info("small")
        logger.error("grave")
    assert [line["event"] for line in lines(capsys)] == ["grave", "grave"]


def test_configuring_again_replaces_what_was_before(capsys: Stderr) -> None:
    configure(LogSettings(), secrets=["sesame"])
    configure(LogSettings(), secrets=["mellon"])
    structlog.get_logger("x").info("sesame mellon")
    (line,) = lines(capsys)
    assert line["event"] == f"sesame {REDACTED}"


@given(secret=SECRETS, before=st.text(max_size=5), style=st.sampled_from(["json", "console"]))
def test_no_line_ever_holds_a_secret(secret: str, before: str, style: str) -> None:
    stream, old = io.StringIO(), sys.stderr
    sys.stderr = stream
    try:
        for known in ((), (secret,)):
            configure(LogSettings.model_validate({"format": style}), secrets=known)
            tell(secret if known else "harmless value", before)
            if not known:
                harmless = stream.getvalue()
                stream.seek(0)
                stream.truncate()
    finally:
        sys.stderr = old
    shown = stream.getvalue().replace(REDACTED, "")
    assert len(shown) > 1000
    for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assert form not in shown or form in harmless


def tell(secret: str, before: str) -> None:
    """The secret in a message, its arguments, fields, keys, nesting, bytes, errors, objects."""
    ours, theirs = structlog.get_logger("ours"), logging.getLogger("aiokafka")
    ours.info(before + secret, field=secret, nested=[{"a": (secret, {f"{before}{secret}": 1})}])
    ours.bind(bound=secret).warning("logged %s", secret, raw=secret.encode("utf-8", "replace"))
    theirs.warning("%s and %r", secret, {"x": secret}, extra={"more": [secret]})
    theirs.warning("wrong number %s %s", secret)
    theirs.warning(secret + "%d", "x")
    try:
        try:
            raise KeyError(secret)  # noqa: TRY301 - a cause is what is wanted
        except KeyError as error:
            raise RuntimeError(f"{before}{secret}") from error
    except RuntimeError:
        ours.exception("broke", error_object=RuntimeError(secret))
        theirs.exception("broke %s", secret)


def test_fields_named_like_secrets_are_hidden_whatever_they_hold(capsys: Stderr) -> None:
    configure(LogSettings())
    structlog.get_logger("x").info("login", password="pw", token=5, dsn="postgresql://ann:pw@h/x")
    (line,) = lines(capsys)
    assert (line["password"], line["token"]) == (REDACTED, REDACTED)
    assert line["dsn"] == f"postgresql://ann:{REDACTED}@h/x"


def test_a_line_that_a_library_built_wrong_is_still_told(capsys: Stderr) -> None:
    configure(LogSettings())
    logging.getLogger("faust").error("%d records", "many")
    (line,) = lines(capsys)
    assert line["event"] == "log_line_not_formatted"
    assert line["template"] == "%d records"


def test_a_long_text_is_cut_and_a_line_stays_one_line(capsys: Stderr) -> None:
    configure(LogSettings())
    structlog.get_logger("x").info("poison\nrecord", payload="\n" + "x" * 1_000_000)
    (line,) = lines(capsys)
    assert line["event"] == "poison\nrecord"
    assert line["payload"].endswith("... (1000001 characters)")
    assert len(line["payload"]) < TEXT_LENGTH_MAX + 100
    configure(LogSettings(format="console"))
    structlog.get_logger("x").info("poison\n2026-01-01 [info] forged")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_lone_surrogate_is_no_obstacle(capsys: Stderr) -> None:
    configure(LogSettings())
    structlog.get_logger("x").info("name \ud800", source="\udcff")
    assert lines(capsys)[0]["source"] == "\udcff"


def test_warnings_and_errors_of_threads_are_lines_too(capsys: Stderr) -> None:
    configure(LogSettings(), secrets=["sesame"])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)  # pytest set its own; the last one counts.
        logging.captureWarnings(capture=True)
        warnings.warn("sesame is deprecated", stacklevel=1)

    def broken() -> None:
        raise RuntimeError("sesame")

    thread = threading.Thread(target=broken, name="feeder")
    thread.start()
    thread.join(TIMEOUT_S)
    warned, failed = lines(capsys)
    assert f"{REDACTED} is deprecated" in warned["event"]
    assert (failed["event"], failed["thread"]) == ("uncaught_error_in_thread", "feeder")
    assert failed["exception"][0]["exc_value"] == REDACTED


@pytest.mark.parametrize("stream", [None, "closed", "full"])
def test_a_stderr_that_takes_nothing_is_survived(
    monkeypatch: pytest.MonkeyPatch, stream: str | None
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    broken = None if stream is None else Full() if stream == "full" else io.StringIO()
    if stream == "closed" and broken is not None:
        broken.close()
    monkeypatch.setattr(sys, "stderr", broken)
    configure(LogSettings())
    structlog.get_logger("x").info("unheard")
    logging.getLogger("faust").error("unheard")


PROGRAM = """
import logging, sys, structlog
from coordinator.settings import LogSettings
from coordinator.telemetry.logging import configure_logging
configure_logging(LogSettings())
log = structlog.get_logger("x")
sys.stdin.readline()
for number in range(100):
    log.info("unheard", number=number)
    logging.getLogger("faust").error("unheard")
print("worked on", flush=True)
"""


def test_a_process_whose_stderr_nobody_reads_works_on_and_ends_well() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stderr.close()
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.read() == "worked on\n"
        assert process.wait(TIMEOUT_S) == 0


def test_an_error_that_ends_the_process_is_a_line_without_secrets() -> None:
    program = (
        "from coordinator.settings import LogSettings\n"
        "from coordinator.telemetry.logging import configure_logging\n"
        "configure_logging(LogSettings(), secrets=['sesame'])\n"
        "raise RuntimeError('sesame')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1
    assert "sesame" not in done.stderr
    assert json.loads(done.stderr)["event"] == "uncaught_error"
