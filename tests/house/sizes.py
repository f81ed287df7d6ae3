"""The ratchet on size: functions of at most 60 lines, files of at most 400.

What was larger when the rule came stands in ratchet.toml and may only shrink.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.house.findings import Module

__all__ = ["FILE_LINES_MAX", "FUNCTION_LINES_MAX", "Ratchet", "breaches", "file_sizes"]
__all__ += ["function_sizes"]

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 400


@dataclass(frozen=True, slots=True)
class Ratchet:
    """The recorded exceptions of one kind: name to lines, above a limit for all others."""

    limit: int
    recorded: Mapping[str, int]


def file_sizes(module: Module) -> dict[str, int]:
    """The lines of a file by its path."""
    return {module.path: len(module.text.splitlines())}


def function_sizes(module: Module) -> dict[str, int]:
    """The lines of each function by path and qualified name, docstring and signature included."""
    return {f"{module.path}::{name}": lines for name, lines in _functions(module.tree, "")}


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            last = child.end_lineno or child.lineno
            yield f"{prefix}{child.name}", last - child.lineno + 1
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)


def breaches(sizes: Mapping[str, int], ratchet: Ratchet) -> list[str]:
    """What is too large, what grew, and which records must be lowered because it shrank."""
    found = []
    for name in sorted(sizes.keys() | ratchet.recorded.keys()):
        lines, recorded = sizes.get(name, 0), ratchet.recorded.get(name)
        if recorded is None and lines > ratchet.limit:
            found.append(f"{name}: {lines} lines, at most {ratchet.limit}; split it")
        elif recorded is not None and lines > recorded:
            found.append(f"{name}: grew from {recorded} to {lines} lines; split it")
        elif recorded is not None and lines <= ratchet.limit:
            found.append(f"{name}: {lines} lines now; take it out of ratchet.toml")
        elif recorded is not None and lines < recorded:
            found.append(f"{name}: shrank to {lines} lines; write that in ratchet.toml")
    return found
