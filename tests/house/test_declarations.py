"""What pyproject.toml and requirements.lock declare is complete, pinned and says why."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib

import pytest

from tests.house.findings import ROOT, Module, modules

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
BENCH_LOCK = (ROOT / "tests/bench/requirements.lock").read_text(encoding="utf-8")
LOCKS = pytest.mark.parametrize("lock", [LOCK, BENCH_LOCK], ids=["product", "bench"])
PYPROJECT_TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads(PYPROJECT_TEXT)
OURS = {"coordinator", "projections", "replay", "schemas"}


def pinned(lock: str = LOCK) -> dict[str, list[str]]:
    """Each locked requirement line with its hashes."""
    blocks = re.findall(r"^(\S+==\S+)[^\n]*((?:\\\n +--hash=\S+ ?)+)", lock, re.MULTILINE)
    return {name: re.findall(r"--hash=(\S+)", hashes) for name, hashes in blocks}


def names(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[<>=!~;\[ ]", requirement)[0]) for requirement in requirements}


def normal(name: str) -> str:
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def foreign_imports(module: Module) -> set[str]:
    found = {full.partition(".")[0] for full in module.imports.values()}
    return found - OURS - {"ops", "tests"} - sys.stdlib_module_names


@LOCKS
def test_the_lock_file_names_no_address(lock: str) -> None:
    assert "://" not in lock
    assert not re.search(r"https?:", lock)
    assert "--index" not in lock
    assert "--find-links" not in lock


@LOCKS
def test_every_locked_package_has_one_exact_version_and_hashes(lock: str) -> None:
    lines = [line for line in lock.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    locked = pinned(lock)
    assert len(locked) == len(lines) > 0
    assert len({name.split("==")[0] for name in locked}) == len(lines)
    for name, hashes in locked.items():
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), name


def test_every_declared_dependency_is_locked() -> None:
    project = PYPROJECT["project"]
    declared = [
        *project["dependencies"],
        *project["optional-dependencies"]["test"],
        *PYPROJECT["build-system"]["requires"],
    ]
    assert names(declared) <= {name.split("==")[0] for name in pinned()}


def test_the_peers_are_locked_beside_the_very_versions_of_the_product() -> None:
    locked, beside = pinned(), pinned(BENCH_LOCK)
    assert locked.items() <= beside.items()
    extra = PYPROJECT["project"]["optional-dependencies"]["bench"]
    assert names(extra) <= {name.split("==")[0] for name in beside}
    assert not names(extra) & {name.split("==")[0] for name in locked}


def test_the_installed_packages_are_the_locked_ones() -> None:
    for requirement in pinned():
        name, version = requirement.split("==")
        if name != "colorama":  # Locked for Windows alone, where the tools want it.
            assert importlib.metadata.version(name) == version, name


def test_every_import_of_the_source_is_a_declared_dependency() -> None:
    project = PYPROJECT["project"]
    needed = names(project["dependencies"])
    for_tests = names(project["optional-dependencies"]["test"])  # What ops/ is for has these, too.
    owners = importlib.metadata.packages_distributions()
    for module in modules():
        if module.is_source:
            declared = needed | for_tests if module.within("ops") else needed
            for name in sorted(foreign_imports(module)):
                assert {normal(owner) for owner in owners[name]} & declared, (module.path, name)


def test_every_declared_dependency_is_imported_somewhere() -> None:
    owners = importlib.metadata.packages_distributions()
    used = {
        normal(owner)
        for module in modules()
        if module.is_source
        for name in foreign_imports(module)
        for owner in owners[name]
    }
    # cvxpy loads its solvers by name.
    assert names(PYPROJECT["project"]["dependencies"]) - used <= {"clarabel", "piqp"}


def test_every_lint_rule_that_is_ignored_carries_its_reason() -> None:
    section = PYPROJECT_TEXT.split("[tool.ruff.lint]")[1].split("[tool.ruff.lint.flake8")[0]
    entries = re.findall(r'^ +"[A-Z]+[0-9]*",.*$', section, re.MULTILINE)
    assert len(entries) > 20
    assert [entry for entry in entries if not re.search(r"# \S+ \S+", entry)] == []


@pytest.mark.parametrize(
    "script",
    [".ci/run", "ops/demo", "ops/lock", "ops/secrets", "ops/servers", "ops/setup", "ops/test"],
)
def test_a_script_can_be_run_and_stops_at_the_first_error(script: str) -> None:
    path = ROOT / script
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o111 == 0o111
    assert text.startswith("#!/")
    assert "\nset -eu" in text


def test_the_wheel_holds_the_product_and_not_the_tests() -> None:
    assert set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == OURS


def test_every_source_file_parses_on_the_oldest_python() -> None:
    for module in modules():
        ast.parse(module.text, filename=module.path, feature_version=(3, 11))
