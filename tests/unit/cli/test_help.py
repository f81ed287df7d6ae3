"""Every command says what it does, under either name of the command line."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator

from coordinator.cli.main import COMMANDS, build_parser


def below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from below(command)


def test_help_of_every_command_has_a_sentence_on_what_it_does() -> None:
    commands = list(below(build_parser()))
    assert len(commands) > len(COMMANDS)
    for command in commands:
        text = command.description
        assert text, command.prog
        assert text[0].isupper(), command.prog
        assert text.endswith("."), command.prog
        assert text in " ".join(command.format_help().split())


def test_help_of_every_option_is_text_as_it_was_written() -> None:
    """A percent sign that is not doubled is formatted, with argparse's own values."""
    for command in below(build_parser()):
        shown = command.format_help()
        assert "option_strings" not in shown, command.prog
        for action in command._actions:
            left = re.sub(r"%%|%\([a-z]+\)s", "", action.help or "")
            assert "%" not in left, (command.prog, action.help)


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", "--version"], capture_output=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith(b"coordinator ")
