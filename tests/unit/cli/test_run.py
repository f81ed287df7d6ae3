"""`coordinator run`: ports are looked at before anything starts; a seal is a good end."""

from __future__ import annotations

import argparse
import socket
from typing import Any

import pytest

from coordinator.cli import run as module
from coordinator.shells.live import lifeline, parts, supervisor


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    args = parser.parse_args(["run", *words])
    return int(args.run(args))


def test_a_port_that_is_in_use_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []

    def supervise(*children: Any, **_: Any) -> int:
        started.append(children)
        return 0

    monkeypatch.setattr(supervisor, "supervise", supervise)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run("--only", "router", "--only", "engine", "--http-port", str(port - 1)) == 1
        said = capsys.readouterr().err
        assert f"port {port} of 127.0.0.1 is in use" in said
        assert "--http-port" in said
        assert started == []
    assert run("--only", "router", "--only", "engine", "--http-port", "0") == 0
    assert len(started) == 1


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--supervised",), supervisor.SEALED)])
def test_a_seal_is_a_good_end_and_only_a_supervisor_is_told_more(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int
) -> None:
    monkeypatch.setattr(parts, "run_named", lambda *_, **__: supervisor.SEALED)
    monkeypatch.setattr(lifeline, "hold_on", lambda **_: None)
    assert run("--only", "engine", *words) == code
