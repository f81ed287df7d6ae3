"""The project keeps its house rules, and each rule catches what it is there for."""

from __future__ import annotations

import pytest

from tests.house.findings import modules, parse
from tests.house.rules import RULES, check
from tests.house.set_order import check_set_order, set_names

PURE = "coordinator/core/planted.py"
SOLVER = "coordinator/solver/planted.py"
SOURCE = "coordinator/quality/planted.py"
CLI = "coordinator/cli/planted.py"
TEST = "tests/unit/planted.py"


def rules_broken(text: str, path: str) -> set[str]:
    return {finding.rule for finding in check(parse(f'"""Doc."""\n{text}\n', path))}


def order_broken(text: str, path: str = PURE) -> bool:
    module = parse(text, path)
    return bool(check_set_order(module, set_names([module])))


def test_the_project_keeps_every_rule() -> None:
    findings = [str(finding) for module in modules() for finding in check(module)]
    assert not findings, "\n".join(findings)


def test_no_set_order_reaches_a_result_of_the_pure_core() -> None:
    known = set_names(modules())
    findings = [str(found) for module in modules() for found in check_set_order(module, known)]
    assert not findings, "\n".join(findings)


def test_the_rules_see_the_files_they_are_about() -> None:
    paths = [module.path for module in modules()]
    for folder in ("coordinator/core/", "coordinator/solver/", "schemas/", "ops/", "tests/house/"):
        assert any(path.startswith(folder) for path in paths), folder


@pytest.mark.parametrize(
    "text",
    [
        "import time\nnow = time.time()",
        "import time as t\nnow = t.monotonic_ns()",
        "from time import perf_counter\nnow = perf_counter()",
        "import datetime\nnow = datetime.datetime.now(datetime.UTC)",
        "from datetime import datetime\nnow = datetime.utcnow()",
        "from datetime import date\nday = date.today()",
        "import random\nx = random.random()",
        "import numpy as np\nx = np.random.default_rng(1)",
        "from uuid import uuid4\nx = uuid4()",
        "from uuid import uuid4\nfield = dict(default_factory=uuid4)",
        "import os\nx = os.environ['HOME']",
        "from os import getenv\nx = getenv('HOME')",
        "import secrets\nx = secrets.token_hex()",
        "x = open('file')",
        "print('x')",
        "x = id(object())",
        "x = hash('portfolio')",
        "import sys\nsys.stderr.write('x')",
    ],
)
def test_a_clock_chance_or_environment_in_the_pure_core_is_caught(text: str) -> None:
    assert "impure-reference" in rules_broken(text, PURE)
    assert "impure-reference" in rules_broken(text, "schemas/planted.py")
    assert "impure-reference" not in rules_broken(text, "coordinator/shells/planted.py")


@pytest.mark.parametrize(
    "text",
    [
        "from datetime import UTC, datetime\nx = datetime(2026, 1, 1, tzinfo=UTC)",
        "import hashlib\nx = hashlib.blake2b(b'')",
        "def f(time: int) -> int:\n    return time",
        "record.id",
        "def f(random: float) -> float:\n    return random + 1",
    ],
)
def test_what_only_looks_impure_is_let_through(text: str) -> None:
    assert "impure-reference" not in rules_broken(text, PURE)


@pytest.mark.parametrize(
    "text",
    [
        "for x in {'a', 'b'}:\n    f(x)",
        "for x in set(names):\n    f(x)",
        "for x in frozenset(names):\n    f(x)",
        "out = [x for x in {n for n in names}]",
        "out = {x: 1 for x in set(names)}",
        "out = list({'a', 'b'})",
        "out = tuple(set(names))",
        "out = ','.join({'a', 'b'})",
        "out = sum({0.1, 0.2})",
        "out = sum(x for x in set(values))",
        "out = dict.fromkeys(set(names))",
        "out = [*{'a', 'b'}]",
        "out = f(*set(names))",
        "out = {'a', 'b'}.pop()",
        "out = next(iter(set(names)))",
        "for x in a.keys() & b.keys():\n    f(x)",
        "for x in a.keys() - b:\n    f(x)",
        "for x in seen.union(other):\n    f(x)",
        "def f(names: set[str]) -> None:\n    for x in names:\n        g(x)",
        "def f(names: frozenset[str]) -> list[str]:\n    return [x for x in names]",
        "def f():\n    seen = set()\n    for x in seen:\n        g(x)",
        "def f():\n    seen = set()\n    more = seen | other\n    for x in more:\n        g(x)",
        "class A:\n    seen: set[str]\n    def f(self):\n        return list(self.seen)",
        "def g() -> frozenset[str]: ...\nfor x in g():\n    f(x)",
        "for i, x in enumerate(set(names)):\n    f(x)",
        "best = max(set(names), key=score)",
        "def f():\n    yield from set(names)",
    ],
)
def test_set_order_that_reaches_a_result_is_caught(text: str) -> None:
    assert order_broken(text)
    assert order_broken(text, "schemas/planted.py")
    assert not order_broken(text, "coordinator/quality/planted.py")


@pytest.mark.parametrize(
    "text",
    [
        "for x in sorted({'a', 'b'}):\n    f(x)",
        "out = sorted(x for x in set(names))",
        "out = sorted(set(names), key=str)",
        "out = {f(x) for x in set(names)}",
        "out = any(x > 1 for x in set(values))",
        "out = len(set(names)), min(set(names)), 'a' in set(names)",
        "for x in {'a': 1}:\n    f(x)",
        "for x in table.keys():\n    f(x)",
        "def f(names: list[str]) -> None:\n    for x in names:\n        g(x)",
        "class A:\n    seen: set[str]\ndef f(seen: list[str]):\n    for x in seen:\n        g(x)",
        "merged = {*set(a), *set(b)}",
        "stack = [1]\nstack.pop()",
    ],
)
def test_harmless_uses_of_sets_are_let_through(text: str) -> None:
    assert not order_broken(text)


def test_an_assert_in_source_is_caught_but_not_in_tests() -> None:
    assert "assert-in-source" in rules_broken("assert x", SOURCE)
    assert "assert-in-source" not in rules_broken("assert x", TEST)


@pytest.mark.parametrize(
    "text",
    [
        "problem.solve(warm_start=True)",
        "problem.solve(warm_start=flag)",
        "problem.solve(solver='CLARABEL')",
        "self.problem.solve()",
        "options = dict(warm_start=True)",
    ],
)
def test_a_solve_that_is_not_plainly_cold_is_caught(text: str) -> None:
    assert "warm-start" in rules_broken(text, SOLVER)


def test_a_warm_start_is_caught_outside_the_solver_too() -> None:
    assert "warm-start" in rules_broken("plan(warm_start=True)", SOURCE)


@pytest.mark.parametrize(
    "text",
    [
        "problem.solve(solver='CLARABEL', warm_start=False)",
        "import numpy as np\nx = np.linalg.solve(a, b)",
        "import piqp\nqp = piqp.DenseSolver()\nqp.solve()",
    ],
)
def test_a_cold_solve_is_let_through(text: str) -> None:
    assert "warm-start" not in rules_broken(text, SOLVER)


def test_a_time_limit_in_the_solver_is_caught() -> None:
    assert "time-limit-in-solver" in rules_broken("p.solve(warm_start=False, time_limit=1)", SOLVER)
    assert "time-limit-in-solver" not in rules_broken("p.solve(max_iter=100)", SOLVER)


def test_a_bare_except_is_caught() -> None:
    assert "bare-except" in rules_broken("try:\n    f()\nexcept:\n    raise", SOURCE)
    assert "bare-except" not in rules_broken("try:\n    f()\nexcept OSError:\n    raise", SOURCE)


def test_a_print_is_caught_outside_the_command_line_only() -> None:
    assert "print-outside-cli" in rules_broken("print(1)", SOURCE)
    assert "print-outside-cli" not in rules_broken("print(1)", CLI)


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "HACK"])
def test_a_comment_that_says_unfinished_is_caught(word: str) -> None:
    assert "unfinished" in rules_broken(f"x = 1  # {word}: later", SOURCE)
    assert "unfinished" in rules_broken(f"x = 1  # {word}: later", TEST)


def test_a_stub_is_caught() -> None:
    assert "unfinished" in rules_broken("def f():\n    raise NotImplementedError", SOURCE)


def test_a_module_without_docstring_is_caught() -> None:
    assert {found.rule for found in check(parse("x = 1\n", SOURCE))} == {"missing-docstring"}


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "# noqa: S603",
        "# noqa: S603, ANN401",
        "# type: ignore",
        "# type: ignore[no-untyped-call]",
        "# type: ignore # cvxpy has no types",
        "# noqa - the command is fixed",
        "# mypy: ignore-errors",
        "# ruff: noqa",
    ],
)
def test_an_ignore_without_code_or_reason_is_caught(comment: str) -> None:
    assert "ignore-without-reason" in rules_broken(f"x = 1  {comment}", SOURCE)


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: S603 - the command is fixed",
        "# type: ignore[no-untyped-call]  # cvxpy publishes no types here",
        "# type: ignore[misc] # noqa: ANN401 - foreign object",
        "# fmt: skip",
        "# Says nothing of lint.",
    ],
)
def test_an_ignore_with_code_and_reason_is_let_through(comment: str) -> None:
    assert "ignore-without-reason" not in rules_broken(f"x = 1  {comment}", SOURCE)


@pytest.mark.parametrize("path", ["/home/ann/x", "/tmp/x", "/Users/ann/x", "/root/x"])
def test_a_path_of_one_machine_is_caught(path: str) -> None:
    assert "machine-path" in rules_broken(f"x = '{path}'", SOURCE)


def test_every_rule_is_planted_above() -> None:
    assert set(RULES) == {
        "impure-reference",
        "assert-in-source",
        "warm-start",
        "time-limit-in-solver",
        "bare-except",
        "print-outside-cli",
        "unfinished",
        "missing-docstring",
        "ignore-without-reason",
        "machine-path",
    }
