"""The house rules that linters do not know: what source, pure core and solver must never say.

Each rule takes a parsed module and yields (line, what). `RULES` names them; the set-order rule
stands in a file of its own.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator

from tests.house.findings import Finding, Module, dotted_name

__all__ = ["RULES", "check"]

Hits = Iterator[tuple[int, str]]

IMPURE_PREFIXES = (
    *("asyncio.", "getpass.", "locale.", "numpy.random.", "os.", "platform.", "random."),
    *("secrets.", "socket.", "threading.", "time."),
)
IMPURE_NAMES = frozenset(
    (
        *("datetime.date.today", "datetime.datetime.now", "datetime.datetime.today"),
        *("datetime.datetime.utcnow", "sys.argv", "sys.stdin", "uuid.getnode", "uuid.uuid1"),
        *("uuid.uuid4", "sys.stdout", "sys.stderr"),
    )
)
IMPURE_BUILTINS = frozenset(
    ("breakpoint", "eval", "exec", "hash", "id", "input", "open", "print", "__import__")
)
TIME_LIMITS = frozenset(
    ("max_time", "max_cpu_time", "time_limit", "time_limit_secs", "TimeLimit", "timeout")
)
# A solver object of these libraries is made for one solve, and their solve takes no warm start;
# the linear algebra's `solve` remembers nothing.
COLD_LIBRARIES = ("clarabel.", "numpy.", "piqp.", "scipy.")

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
IGNORE = re.compile(r"#\s*(?:ruff:\s*)?noqa\b(?P<codes>:\s*[A-Z]+[0-9]+(?:\s*,\s*[A-Z]+[0-9]+)*)?")
TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore(?P<codes>\[[a-z, -]+\])?")
WHOLE_FILE = re.compile(r"#\s*(mypy:\s*(ignore-errors|disable)|type:\s*ignore\s*$)")
REASON_LETTERS_MIN = 6
MACHINE_PATH = re.compile(r"(?<![\w./~$}-])/(home|root|tmp|Users|work)/")


def check(module: Module) -> list[Finding]:
    """Every breach of every rule in a module."""
    return [
        Finding(rule=name, path=module.path, line=line, what=what)
        for name, rule in RULES.items()
        for line, what in rule(module)
    ]


def impure_reference(module: Module) -> Hits:
    """The pure core has no clock, chance, environment or process-dependent value.

    A mere reference counts too: `default_factory=uuid4` calls it later.
    """
    if not module.is_pure:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = dotted_name(node, module.imports)
            if name in IMPURE_NAMES or f"{name}".startswith(IMPURE_PREFIXES):
                yield node.lineno, f"{name} has no place in the pure core"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name in IMPURE_BUILTINS and name not in module.imports:
                yield node.lineno, f"{name}() has no place in the pure core"


def assert_in_source(module: Module) -> Hits:
    """`python -O` strips assert: a broken invariant raises an exception."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assert) and module.is_source:
            yield node.lineno, "assert outside the tests; raise an exception"


def warm_start(module: Module) -> Hits:
    """A warm start lets a decision depend on history, so every solve says that it is cold."""
    if not module.is_source:
        return
    cold = set(_names_of_cold_solvers(module))
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        value = keywords.get("warm_start")
        says_cold = isinstance(value, ast.Constant) and value.value is False
        if value is not None and not says_cold:
            yield node.lineno, "warm_start is anything but False"
        elif value is None and _is_solve(node, module) and not _is_cold(node, module, cold):
            yield node.lineno, "solve() without warm_start=False"


def _is_solve(node: ast.Call, module: Module) -> bool:
    in_solver = module.within("coordinator/solver")
    return in_solver and isinstance(node.func, ast.Attribute) and node.func.attr == "solve"


def _is_cold(node: ast.Call, module: Module, cold: set[str]) -> bool:
    name = dotted_name(node.func, module.imports)
    return name.startswith(COLD_LIBRARIES) or name.removesuffix(".solve") in cold


def _names_of_cold_solvers(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made_by = dotted_name(node.value.func, module.imports)
            if made_by.startswith(COLD_LIBRARIES):
                yield from (name.id for name in node.targets if isinstance(name, ast.Name))


def time_limit_in_solver(module: Module) -> Hits:
    """Iterations bound a solve, never time: a busy machine must not decide otherwise."""
    if not module.within("coordinator/solver"):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.keyword) and node.arg in TIME_LIMITS:
            yield node.value.lineno, f"{node.arg} inside the solver; limit iterations"


def bare_except(module: Module) -> Hits:
    """A bare except swallows what nobody meant to catch."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "bare except; name what is caught"


def print_outside_cli(module: Module) -> Hits:
    """Only the command line speaks to people on stdout."""
    if not module.is_source or module.within("coordinator/cli"):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and dotted_name(node.func, module.imports) == "print":
            yield node.lineno, "print() outside coordinator/cli"


def unfinished(module: Module) -> Hits:
    """What is in the tree is done: the rest is an issue, not a comment."""
    for line, comment in _comments(module):
        if UNFINISHED.search(comment):
            yield line, comment.strip()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name) and node.id == "NotImplementedError" and module.is_source:
            yield node.lineno, "NotImplementedError; finish it or leave it out"


def missing_docstring(module: Module) -> Hits:
    """A module's docstring tells its place in the flow and what it must never do."""
    if module.is_source and not ast.get_docstring(module.tree):
        yield 1, "no module docstring"


def ignore_without_reason(module: Module) -> Hits:
    """An ignored lint or type error names its code and says why, on the same line."""
    for line, comment in _comments(module):
        if WHOLE_FILE.search(comment) and comment.lstrip("# ").startswith("mypy"):
            yield line, "a whole file is ignored; ignore the line"
        marks = [*IGNORE.finditer(comment), *TYPE_IGNORE.finditer(comment)]
        if not marks:
            continue
        rest = TYPE_IGNORE.sub("", IGNORE.sub("", comment))
        if any(mark["codes"] is None for mark in marks):
            yield line, f"no code: {comment.strip()}"
        elif sum(letter.isalpha() for letter in rest) < REASON_LETTERS_MIN:
            yield line, f"no reason: {comment.strip()}"


def machine_path(module: Module) -> Hits:
    """A path of the author's machine exists nowhere else."""
    if module.is_source:
        for number, line in enumerate(module.text.splitlines(), start=1):
            if found := MACHINE_PATH.search(line):
                yield number, f"machine path {found.group()}"


def _comments(module: Module) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


RULES: dict[str, Callable[[Module], Hits]] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        impure_reference,
        assert_in_source,
        warm_start,
        time_limit_in_solver,
        bare_except,
        print_outside_cli,
        unfinished,
        missing_docstring,
        ignore_without_reason,
        machine_path,
    )
}
