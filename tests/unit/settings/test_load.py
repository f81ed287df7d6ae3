"""Layers in their order, every misspelt name told, no secret in any error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coordinator.settings import KafkaSettings, Settings, SettingsError, load_settings

SECRET = "hunter-2-quoted"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("COORDINATOR_"):
            monkeypatch.delenv(name)


def write(folder: Path, text: str) -> Path:
    path = folder / "coordinator.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_given_every_default_stands() -> None:
    settings = load_settings()
    assert settings.kafka.bootstrap == "localhost:9092"
    assert settings.postgres.schema == "coordinator"
    assert settings.postgres.dsn is None
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8070)
    assert settings.worker.shards == 8
    assert settings.worker.id.endswith(f"-{os.getpid()}")
    assert settings.secrets() == ()


def test_flag_wins_over_environment_over_file_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(
        tmp_path, '[kafka]\nbootstrap = "file:1"\nprefix = "file."\nreplication = 2\n[http]\nport=1'
    )
    monkeypatch.setenv("COORDINATOR_KAFKA__BOOTSTRAP", "environment:1")
    monkeypatch.setenv("COORDINATOR_KAFKA__PREFIX", "environment.")
    settings = load_settings(config, kafka__bootstrap="flag:1", kafka__replication=None)
    assert settings.kafka.bootstrap == "flag:1"
    assert settings.kafka.prefix == "environment."
    assert settings.kafka.replication == 2
    assert settings.http.port == 1
    assert settings.redis.prefix == "coordinator"


def test_the_file_may_be_named_by_the_environment_and_a_flag_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORDINATOR_CONFIG", str(write(tmp_path, "[http]\nport = 5\n")))
    assert load_settings().http.port == 5
    other = tmp_path / "other.toml"
    other.write_text("[http]\nport = 6\n", encoding="utf-8")
    assert load_settings(other).http.port == 6


def test_flags_come_as_groups_or_single_settings() -> None:
    settings = load_settings(
        kafka={"bootstrap": "b:1", "client": {"retry_backoff_ms": 50}}, http__port=0
    )
    assert settings.kafka.bootstrap == "b:1"
    assert settings.kafka.client == {"retry_backoff_ms": 50}
    assert settings.http.port == 0
    given = load_settings(kafka=KafkaSettings(bootstrap="c:1"), kafka__prefix="p.")
    assert (given.kafka.bootstrap, given.kafka.prefix) == ("c:1", "p.")


def test_the_environment_is_read_as_text_json_or_one_level_deeper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COORDINATOR_KAFKA", '{"replication": 3, "prefix": "wide."}')
    monkeypatch.setenv("COORDINATOR_KAFKA__PREFIX", "narrow.")
    monkeypatch.setenv("COORDINATOR_KAFKA__BOOTSTRAP", "12")
    monkeypatch.setenv("COORDINATOR_KAFKA__SSL_CHECK_HOSTNAME", "false")
    monkeypatch.setenv("COORDINATOR_KAFKA__PRODUCER", '{"compression_type": "lz4"}')
    monkeypatch.setenv("COORDINATOR_KAFKA__CONSUMER__REQUEST_TIMEOUT_MS", "5000")
    monkeypatch.setenv("COORDINATOR_KAFKA__CONSUMER__CLIENT_RACK", "a")
    kafka = load_settings().kafka
    assert (kafka.replication, kafka.prefix, kafka.bootstrap) == (3, "narrow.", "12")
    assert kafka.ssl_check_hostname is False
    assert kafka.producer == {"compression_type": "lz4"}
    assert kafka.consumer == {"request_timeout_ms": 5000, "client_rack": "a"}


def test_an_empty_variable_was_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_HTTP__PORT", "")
    assert load_settings(write(tmp_path, "[http]\nport = 5\n")).http.port == 5


def test_a_misspelt_name_is_an_error_in_every_layer_and_names_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.bootstrp in .*nearest.* kafka\.bootstrap$"):
        load_settings(write(tmp_path, '[kafka]\nbootstrp = "x"\n'))
    with pytest.raises(SettingsError, match=r"unknown setting kafak in .*toml"):
        load_settings(write(tmp_path, "[kafak]\nprefix = 'x'\n"))
    with pytest.raises(SettingsError, match=r"http\.prt as a flag; .* http\.port$"):
        load_settings(http__prt=1)
    monkeypatch.setenv("COORDINATOR_HTTP_PORT", "1")
    with pytest.raises(SettingsError, match=r"COORDINATOR_HTTP_PORT .* COORDINATOR_HTTP__PORT$"):
        load_settings()


@pytest.mark.parametrize(
    "name", ["COORDINATOR_CONFG", "COORDINATOR_LOG__LEVEL__X", "COORDINATOR_KAFKA__CLIENT__A__B"]
)
def test_no_variable_with_our_prefix_is_passed_over(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError, match=f"unknown setting {name} in the environment"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COORDINATOR_SERVICE_HOST", "10.0.0.1"),
        ("COORDINATOR_SERVICE_PORT_HTTP", "8070"),
        ("COORDINATOR_PORT", "tcp://10.0.0.1:8070"),
        ("COORDINATOR_HTTP_PORT", "tcp://10.0.0.1:8070"),
        ("COORDINATOR_PORT_8070_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_what_kubernetes_says_of_a_service_of_our_name_is_no_setting(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert load_settings() == load_settings()


def test_a_wrong_value_says_which_setting_who_gave_it_and_why_not_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORDINATOR_HTTP__PORT", "99999-sesame")
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, f"[kafka]\nreplication = 0\nsasl_password = {SECRET!r}\n"))
    text = str(caught.value)
    assert "http.port in the environment variable COORDINATOR_HTTP__PORT: input should" in text
    assert "sesame" not in text
    assert "kafka.replication in " in text
    assert SECRET not in text
    assert caught.value.__cause__ is None


def test_a_group_that_is_one_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"kafka in .* is a group"):
        load_settings(write(tmp_path, 'kafka = "b:1"\n'))


@pytest.mark.parametrize("text", [f"password = {SECRET}\nx", "[kafka\n", "\udcff"])
def test_a_file_that_is_no_toml_is_named_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "coordinator.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=r"coordinator\.toml is not TOML") as caught:
        load_settings(path)
    assert "hunter" not in str(caught.value)


def test_a_missing_file_and_bad_json_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_settings(tmp_path / "none.toml")
    monkeypatch.setenv("COORDINATOR_KAFKA__CLIENT", '{"sasl": "hunter')
    with pytest.raises(SettingsError, match=r"COORDINATOR_KAFKA__CLIENT .* not JSON") as caught:
        load_settings()
    assert "hunter" not in str(caught.value)


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(f" {SECRET} \r\n".encode())
    kafka = KafkaSettings(ssl_password_file=path)
    assert kafka.ssl_password is not None
    assert kafka.ssl_password.get_secret_value() == f" {SECRET} "
    settings = load_settings(postgres__dsn_file=str(path))
    assert settings.postgres.dsn is not None
    assert settings.postgres.dsn.get_secret_value() == f" {SECRET} "


def test_a_secret_and_its_file_in_one_layer_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "dsn"
    path.write_text(SECRET, encoding="utf-8")
    config = write(tmp_path, f"[postgres]\ndsn = 'x'\ndsn_file = '{path}'\n")
    with pytest.raises(SettingsError, match=r"setting postgres.*: give dsn or dsn_file, not both"):
        load_settings(config)


def test_a_higher_layer_replaces_a_secret_by_a_file_and_a_file_by_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dsn"
    path.write_text("from-file\n", encoding="utf-8")
    monkeypatch.setenv("COORDINATOR_POSTGRES__DSN", "from-environment")
    config = write(tmp_path, f"[postgres]\ndsn_file = '{tmp_path / 'missing'}'\n")
    first = load_settings(config).postgres
    assert first.dsn is not None
    assert first.dsn.get_secret_value() == "from-environment"
    second = load_settings(config, postgres__dsn_file=path).postgres
    assert second.dsn is not None
    assert second.dsn.get_secret_value() == "from-file"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 70_000])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"redis.*url_file .*password"):
        load_settings(redis__url_file=path)


def test_an_unreadable_secret_file_says_which_and_why(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"url_file .*absent cannot be read: No such file"):
        load_settings(redis__url_file=tmp_path / "absent")
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings(redis__url_file=tmp_path)


def test_the_settings_object_itself_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP", '{"port": 1}')
    monkeypatch.setenv("KAFKA", "x")
    assert Settings().http.port == 8070
