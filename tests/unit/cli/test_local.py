"""`run --local` as a process: whatever its input is made of, it ends, and with the right code."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from coordinator.cli.console import FAILED, OK
from coordinator.log.sqlite import SqliteLog

BAD = b"\xff\xfe\x00 no text\n"
GOOD_AFTER = b'{"type":"nothing known"}\n'
TIMEOUT_S = 60


def ran(
    folder: Path, *words: str, given: bytes = b"", strict: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, on folder/log.sqlite."""
    environment = dict(os.environ)
    if strict:
        environment["PYTHONIOENCODING"] = "utf-8:strict"
    command = [sys.executable, "-m", "coordinator.cli.main", "run", "--local", "--log"]
    command += [str(folder / "log.sqlite"), "--until-end", *words]
    return subprocess.run(
        command, input=given, capture_output=True, timeout=TIMEOUT_S, check=False, env=environment
    )


def dead_letters(folder: Path) -> bytes:
    with closing(SqliteLog(folder / "log.sqlite")) as log:
        dead = [part for part in log.partitions() if part[0].endswith(".dlq")]
        return b"".join(record.payload for part in dead for record in log.read(*part))


@pytest.mark.parametrize("strict", [False, True])
def test_bytes_that_are_no_text_are_a_dead_letter_and_the_rest_is_read(
    tmp_path: Path, *, strict: bool
) -> None:
    done = ran(tmp_path, given=BAD + GOOD_AFTER, strict=strict)
    assert done.returncode == OK
    found = dead_letters(tmp_path)
    assert found.count(b'"topic":"control"') == 2
    assert base64.b64encode(BAD) in found


def test_a_file_is_read_as_bytes_too(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(BAD + GOOD_AFTER)
    done = ran(tmp_path, "--input", str(tmp_path / "in.jsonl"))
    assert done.returncode == OK
    assert base64.b64encode(BAD) in dead_letters(tmp_path)


def test_dead_letters_are_counted_by_reason_at_the_end_and_only_those_of_this_run(
    tmp_path: Path,
) -> None:
    price = b'{"type":"PricesObserved","event_id":"p%d","event_time":1,"kind":"tick"}\n'
    done = ran(tmp_path, given=b"".join(price % i for i in range(3)) + GOOD_AFTER)
    said = done.stderr.decode().splitlines()
    assert done.returncode == OK
    assert said[0] == "warning: 4 dead letters: these lines of the input changed nothing"
    assert said[1].startswith("  3  market: PricesObserved.kind: ")
    assert said[2] == "  1  control: unknown event 'nothing known'"
    assert said[3].endswith(f"coordinator dlq list --log {tmp_path / 'log.sqlite'}")
    assert len(said) == 4
    again = ran(tmp_path, given=GOOD_AFTER).stderr.decode().splitlines()
    assert again[0].startswith("warning: 1 dead letter: ")


def test_many_reasons_are_cut_and_a_run_without_dead_letters_says_nothing(tmp_path: Path) -> None:
    assert ran(tmp_path).stderr == b""
    lines = b"".join(b'{"type":"unknown %d"}\n' % i for i in range(7))
    said = ran(tmp_path, given=lines).stderr.decode().splitlines()
    assert said[0].startswith("warning: 7 dead letters")
    assert said[6] == "  and 2 other reasons"


@pytest.mark.parametrize("name", ["nothing.jsonl", "."])
def test_an_input_that_cannot_be_read_fails_before_a_log_is_made(tmp_path: Path, name: str) -> None:
    done = ran(tmp_path, "--input", str(tmp_path / name))
    assert done.returncode == FAILED
    assert done.stderr.startswith(b"error: ")
    assert not (tmp_path / "log.sqlite").exists()
