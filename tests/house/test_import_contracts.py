"""The import contracts of pyproject.toml catch what they are there for.

A skeleton of the final layout is made in a temporary folder, with imports planted in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.findings import ROOT

PACKAGES = [
    "bootstrap",
    "cli",
    "core",
    "importers",
    "learning",
    "log",
    "log/kafka",
    "quality",
    "settings",
    "shells",
    "solver",
    "telemetry",
]


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    folders = [f"coordinator/{name}" for name in PACKAGES]
    for folder in ("coordinator", *folders, "projections", "replay", "schemas"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(folder), "NO_COLOR": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def plant(folder: Path, cases: tuple[tuple[str, str], ...]) -> None:
    for number, (importer, imported) in enumerate(cases):
        path = folder / importer.replace(".", "/") / f"planted_{number}.py"
        path.write_text(f"import {imported}\n")


FORBIDDEN = (
    ("schemas", "coordinator.core"),
    ("schemas", "polars"),
    ("schemas", "sqlite3"),
    ("coordinator.core", "coordinator.solver"),
    ("coordinator.core", "coordinator.bootstrap"),
    ("coordinator.core", "cvxpy"),
    ("coordinator.core", "faust"),
    ("coordinator.core", "random"),
    ("coordinator.core", "time"),
    ("coordinator.core", "aiohttp"),
    ("coordinator.core", "prometheus_client"),
    ("coordinator.core", "pydantic_settings"),
    ("coordinator.core", "structlog"),
    ("coordinator.core", "coordinator.settings"),
    ("coordinator.settings", "coordinator.log"),
    ("coordinator.settings", "coordinator.solver"),
    ("coordinator.log", "coordinator.telemetry"),
    ("coordinator.log", "aiokafka"),
    ("coordinator.log", "psycopg"),
    ("coordinator.log.kafka", "faust"),
    ("coordinator.bootstrap", "coordinator.telemetry"),
    ("coordinator.telemetry", "coordinator.shells"),
    ("coordinator.telemetry", "aiokafka"),
    ("coordinator.telemetry", "projections"),
    ("coordinator.shells", "psycopg"),
    ("coordinator.shells", "redis"),
    ("coordinator.cli", "aiokafka"),
    ("coordinator.cli", "faust"),
    ("coordinator.cli", "psycopg"),
    ("projections", "aiokafka"),
    ("projections", "faust"),
    ("replay", "redis"),
    ("coordinator.solver", "coordinator.log"),
    ("coordinator.log", "coordinator.importers"),
    ("coordinator.quality", "coordinator.bootstrap"),
    ("coordinator.quality", "cvxpy"),
    ("coordinator.bootstrap", "coordinator.cli"),
    ("coordinator.bootstrap", "replay"),
    ("coordinator.cli", "sqlite3"),
    ("replay", "coordinator.cli"),
    ("replay", "cvxpy"),
)
DESIGNED = (
    *(("coordinator.cli", name) for name in ("replay", "projections", "coordinator.shells")),
    *(("coordinator.bootstrap", f"coordinator.{name}") for name in ("solver", "log", "learning")),
    *(("coordinator.core", name) for name in ("schemas", "numpy", "datetime")),
    *(("coordinator.log", name) for name in ("sqlite3", "polars", "coordinator.core")),
    *(("coordinator.solver", name) for name in ("cvxpy", "piqp", "coordinator.core")),
    *(("replay", name) for name in ("coordinator.bootstrap", "coordinator.core", "schemas")),
    ("coordinator.shells", "coordinator.bootstrap"),
    ("coordinator.shells", "coordinator.telemetry"),
    ("coordinator.shells", "aiokafka"),
    ("coordinator.shells", "faust"),
    ("coordinator.log.kafka", "aiokafka"),
    ("coordinator.log.kafka", "coordinator.settings"),
    ("coordinator.telemetry", "coordinator.settings"),
    ("projections", "psycopg"),
    ("projections", "redis"),
    ("projections", "coordinator.telemetry"),
)


def test_every_forbidden_import_is_caught(skeleton: Path) -> None:
    plant(skeleton, FORBIDDEN)
    done = lint(skeleton)
    assert done.returncode == 1, done.stdout + done.stderr
    missed = [
        (importer, imported)
        for number, (importer, imported) in enumerate(FORBIDDEN)
        if f"{importer}.planted_{number} -> {imported}" not in done.stdout
    ]
    assert not missed, done.stdout


def test_the_imports_of_the_design_are_let_through(skeleton: Path) -> None:
    plant(skeleton, DESIGNED)
    done = lint(skeleton)
    assert done.returncode == 0, done.stdout + done.stderr
