"""Prints the part of requirements.lock that the product needs to run, hashes and all.

Used by ops/Dockerfile: an image without the tests' tools is a third smaller. The lock notes at each
package who asked for it ("via"); what the project's own dependencies ask for, however far, stays.
The standard library alone: it runs before anything is installed. Never adds or changes a version.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["main", "runtime_part"]

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==.*\n(?:[ ]+.*\n)*", re.MULTILINE)
VIA = re.compile(r"^ +#(?: via)? +(?P<name>[A-Za-z0-9._-]+)", re.MULTILINE)


def main() -> None:
    """Prints it for this project."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)
    wanted = [*declared["project"]["dependencies"], *declared["build-system"]["requires"]]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    sys.stdout.write(runtime_part(lock, wanted))


def runtime_part(lock: str, requirements: Iterable[str]) -> str:
    """The blocks of a lock file that the requirements need, in its order."""
    blocks = {_normal(found["name"]): found[0] for found in BLOCK.finditer(f"{lock}\n")}
    askers = {name: {_normal(by) for by in VIA.findall(block)} for name, block in blocks.items()}
    needed = {_normal(re.split(r"[<>=!~;\[ ]", one)[0]) for one in requirements}
    while more := {name for name, by in askers.items() if by & needed} - needed:
        needed |= more
    return "".join(block for name, block in blocks.items() if name in needed)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
