"""What the house rules share: a finding, the resolution of names, the files of the project.

The rules read syntax trees only: they never import what they judge.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Finding", "Module", "dotted_name", "modules", "parse"]

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("coordinator", "ops", "projections", "replay", "schemas", "tests")


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of one rule. path: relative to the project; line: from 1."""

    rule: str
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        """One line as editors and terminals link it."""
        return f"{self.path}:{self.line}: {self.rule}: {self.what}"


@dataclass(frozen=True, slots=True)
class Module:
    """One parsed source file. imports: local name to the full dotted name it stands for."""

    path: str
    text: str
    tree: ast.Module
    imports: dict[str, str]

    def within(self, *folders: str) -> bool:
        """Whether the file lies in one of the folders, given relative to the project."""
        return any(self.path.startswith(f"{folder}/") for folder in folders)

    @property
    def is_source(self) -> bool:
        """Whether users run it: everything but the tests."""
        return not self.within("tests")

    @property
    def is_pure(self) -> bool:
        """Whether it belongs to the pure core or the language."""
        return self.within("coordinator/core", "schemas")


def parse(text: str, path: str) -> Module:
    """The module of a text that stands, or is said to stand, at a path."""
    tree = ast.parse(text, filename=path)
    return Module(path=path, text=text, tree=tree, imports=dict(_imports(tree)))


def modules() -> tuple[Module, ...]:
    """Every Python file of the project, sorted by path."""
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return tuple(
        parse(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()) for path in paths
    )


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (first, first)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def dotted_name(node: ast.expr, imports: dict[str, str]) -> str:
    """The full name of an expression like `dt.datetime.now`, imports resolved; else ''.

    A name that no import explains stands for itself, as builtins do.
    """
    if isinstance(node, ast.Name):
        return imports.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        before = dotted_name(node.value, imports)
        return f"{before}.{node.attr}" if before else ""
    return ""
