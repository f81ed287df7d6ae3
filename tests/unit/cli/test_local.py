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
    assert (done.returncode, done.stderr) == (OK, b"")
    found = dead_letters(tmp_path)
    assert found.count(b'"topic":"control"') == 2
    assert base64.b64encode(BAD) in found


def test_a_file_is_read_as_bytes_too(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(BAD + GOOD_AFTER)
    done = ran(tmp_path, "--input", str(tmp_path / "in.jsonl"))
    assert (done.returncode, done.stderr) == (OK, b"")
    assert base64.b64encode(BAD) in dead_letters(tmp_path)


@pytest.mark.parametrize("name", ["nothing.jsonl", "."])
def test_an_input_that_cannot_be_read_fails_before_a_log_is_made(tmp_path: Path, name: str) -> None:
    done = ran(tmp_path, "--input", str(tmp_path / name))
    assert done.returncode == FAILED
    assert done.stderr.startswith(b"error: ")
    assert not (tmp_path / "log.sqlite").exists()
