"""docker-compose.yml, its image and its secrets: what can be held without a Docker engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator.cli.main import build_parser
from coordinator.settings import load_settings
from ops.runtime_lock import runtime_part
from tests.house.findings import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "ops" / "Dockerfile").read_text(encoding="utf-8")
SERVERS = {"kafka", "postgres", "redis"}
ENGINES = {name for name in SERVICES if name not in SERVERS}
LASTING = sorted(set(SERVICES) - {"topics"})

TOP_LEVEL = {"name", "services", "networks", "volumes", "secrets", "configs"}
SERVICE_KEYS = {
    *("image", "build", "platform", "profiles", "restart", "init", "read_only", "tmpfs", "user"),
    *("cap_drop", "security_opt", "stop_grace_period", "stop_signal", "logging", "environment"),
    *("env_file", "expose", "ports", "volumes", "secrets", "depends_on", "healthcheck", "deploy"),
    *("command", "entrypoint", "shm_size", "networks", "working_dir"),
}
INTERPOLATION = re.compile(r"\$(?:\$|\{[A-Z][A-Z0-9_]*(?::[-?][^}]*)?\})")
EXACT_TAG = re.compile(r"[\w./-]+:\d+\.\d+\.\d+(-[\w.-]+)?")


def test_only_keys_of_the_specification_are_used() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} <= TOP_LEVEL
    for name, service in SERVICES.items():
        assert service.keys() <= SERVICE_KEYS, name


def test_every_dollar_is_an_interpolation_or_escaped() -> None:
    assert "$" not in INTERPOLATION.sub("", re.sub(r"^\s*#.*$", "", TEXT, flags=re.MULTILINE))


def test_images_are_pinned_to_a_patch_version() -> None:
    for name in SERVERS:
        assert EXACT_TAG.fullmatch(SERVICES[name]["image"]), name
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    assert EXACT_TAG.fullmatch(bases[0])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_waits_for_can_happen(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        waited = SERVICES[other]
        assert set(SERVICES[name]["profiles"]) <= set(waited["profiles"]), (name, other)
        if how["condition"] == "service_healthy":
            assert "test" in waited["healthcheck"], other
        else:
            assert how["condition"] == "service_completed_successfully"
            assert waited["restart"] == "no", other


@pytest.mark.parametrize("name", LASTING)
def test_every_lasting_service_has_health_limits_and_time_to_stop(name: str) -> None:
    service = SERVICES[name]
    # A sealed engine exits with 0, and must not be started again.
    assert service["restart"] == ("on-failure" if name == "engine" else "unless-stopped")
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= service["healthcheck"].keys()
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert re.fullmatch(r"\d+s", service["stop_grace_period"])
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without settings of whoever runs the tests."""
    for variable in os.environ:
        if variable.startswith("COORDINATOR_"):
            monkeypatch.delenv(variable)
    return monkeypatch


def test_the_grace_of_a_stop_outlasts_the_workers_own_bound(
    environment: pytest.MonkeyPatch,
) -> None:
    bound = load_settings().worker.stop_s
    for name in ENGINES:
        assert int(SERVICES[name]["stop_grace_period"].rstrip("s")) > bound


def test_ports_are_published_on_the_loopback_address_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_volumes_and_secrets_are_declared_and_used() -> None:
    mounted = [one.partition(":")[0] for s in SERVICES.values() for one in s.get("volumes", ())]
    assert sorted(mounted) == sorted(COMPOSE["volumes"])
    used = [secret for service in SERVICES.values() for secret in service.get("secrets", ())]
    assert sorted(used) == sorted(COMPOSE["secrets"])


def test_nothing_secret_is_written_here_and_its_absence_is_said_in_words() -> None:
    for secret in COMPOSE["secrets"].values():
        assert secret.keys() == {"file"}
        assert re.match(r"\$\{COORDINATOR_SECRETS:\?[^}]*ops/secrets[^}]*\}/", secret["file"])
    for service in SERVICES.values():
        for variable in service.get("environment", {}):
            if re.search(r"PASSWORD|SECRET|TOKEN|DSN|URL", variable):
                assert variable.endswith("_FILE"), variable


def test_the_profile_of_the_servers_holds_the_servers_alone() -> None:
    assert {name for name, one in SERVICES.items() if "servers" in one["profiles"]} == SERVERS
    assert all("engine" in service["profiles"] for service in SERVICES.values())


def test_each_part_of_the_engine_has_one_service_and_the_engine_two_workers() -> None:
    commands = {name: SERVICES[name]["command"] for name in ENGINES}
    assert commands.pop("topics") == ["topics", "apply"]
    parts = {name: command[2] for name, command in commands.items()}
    assert all(command[:2] == ["run", "--only"] for command in commands.values())
    assert sorted(parts.values()) == ["engine", "postgres", "redis", "router", "views"]
    assert SERVICES["engine"]["deploy"]["replicas"] == 2
    for name in ENGINES:
        command = SERVICES[name]["command"]
        build_parser(command[0]).parse_args(command)  # Exits where the command line knows it not.


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_the_engines_settings_are_ones_that_it_knows(
    name: str, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    for variable, text in SERVICES[name]["environment"].items():
        value = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
        if variable.endswith("_FILE"):
            (tmp_path / variable).write_text("postgresql://a:b@c/d", encoding="utf-8")
            value = str(tmp_path / variable)
        environment.setenv(variable, value)
    settings = load_settings()
    assert settings.kafka.bootstrap == "kafka:19092"
    assert f":{settings.http.port}/livez" in SERVICES["router"]["healthcheck"]["test"][3]


def test_kafkas_listeners_fit_together() -> None:
    given = SERVICES["kafka"]["environment"]
    listeners = [one.partition(":")[0] for one in given["KAFKA_LISTENERS"].split(",")]
    protocols = given["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]
    assert sorted(re.findall(r"(\w+):PLAINTEXT", protocols)) == sorted(listeners)
    assert given["KAFKA_INTER_BROKER_LISTENER_NAME"] in listeners
    published = SERVICES["kafka"]["ports"][0].rpartition(":")[0]
    assert f"HOST://{published}" in given["KAFKA_ADVERTISED_LISTENERS"]


def test_the_image_runs_as_nobody_special_and_says_how_it_is() -> None:
    user = re.search(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert user is not None
    assert int(user[1]) > 999
    assert "/livez" in DOCKERFILE.partition("HEALTHCHECK")[2]
    assert "--require-hashes" in DOCKERFILE
    assert any(f"uid={user[1]}" in one for one in SERVICES["engine"]["tmpfs"])


def test_what_the_image_copies_is_there_and_reaches_the_builder() -> None:
    ignored = (ROOT / "ops" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    sources = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    for source in " ".join(sources).split():
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, source


def test_the_images_packages_are_the_locked_ones_less_the_tests() -> None:
    lock = """\
engine-needs==1.0 ; sys_platform != 'linux' \\
    --hash=sha256:aa
    # via
    #   project (pyproject.toml)
    #   tool
deep_one==2.0 \\
    --hash=sha256:bb
    # via engine-needs
tool==3.0 \\
    --hash=sha256:cc
    # via project (pyproject.toml)
"""
    part = runtime_part(lock, ["Engine.Needs>=1"])
    assert part == lock.partition("tool==3.0")[0]


def copy_of_secrets(folder: Path) -> Path:
    (folder / "ops").mkdir()
    return Path(shutil.copy2(ROOT / "ops" / "secrets", folder / "ops" / "secrets"))


def test_secrets_are_made_once_for_nobody_else_and_fit_together(tmp_path: Path) -> None:
    script = copy_of_secrets(tmp_path)
    subprocess.run([script], check=True, capture_output=True)
    folder = tmp_path / ".secrets"
    made = {path.name: path.read_text().strip() for path in folder.iterdir()}
    assert made.keys() == COMPOSE["secrets"].keys()
    assert folder.stat().st_mode & 0o077 == 0
    assert re.fullmatch("[0-9a-f]{48}", made["postgres-password"])
    assert f":{made['postgres-password']}@postgres:5432/coordinator" in made["postgres-dsn"]
    assert f":{made['redis-password']}@redis:6379/" in made["redis-url"]
    assert (tmp_path / ".env").read_text() == "COORDINATOR_SECRETS=./.secrets\n"
    again = subprocess.run([script], check=True, capture_output=True)
    assert again.stdout == b""
    assert made == {path.name: path.read_text().strip() for path in folder.iterdir()}


def test_docker_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    command = ("docker", "compose")
    try:
        subprocess.run([*command, "version"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("docker compose is not installed")
    checked = [*command, "--file", str(ROOT / "docker-compose.yml"), "--profile", "engine"]
    done = subprocess.run(
        [*checked, "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "COORDINATOR_SECRETS": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
