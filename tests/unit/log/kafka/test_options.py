"""Settings become arguments that the real clients take, and nothing else gets through."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import ssl
import subprocess
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from coordinator.log.kafka.options import (
    ClientKind,
    check_options,
    client_options,
    known_options,
    ssl_context,
)
from coordinator.settings import KafkaSettings, SettingsError

KINDS: tuple[ClientKind, ...] = ("consumer", "producer", "admin")
CLIENTS = {"consumer": AIOKafkaConsumer, "producer": AIOKafkaProducer, "admin": AIOKafkaAdminClient}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate and its key, which the password `sesame` opens."""
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "1", "-subj", "/CN=x"]
    try:
        subprocess.run(
            [*command, "-keyout", key, "-out", certificate, "-passout", "pass:sesame"],
            check=True,
            capture_output=True,
            timeout=60,
        )
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    return certificate, key


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_of_the_settings_is_what_the_client_takes(kind: ClientKind) -> None:
    settings = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="ann",
        sasl_password=SecretStr("sesame"),
        client={"request_timeout_ms": 5000},
    )
    options = client_options(settings, kind)
    inspect.signature(CLIENTS[kind]).bind(**options)
    assert options["sasl_plain_password"] == "sesame"
    assert options["request_timeout_ms"] == 5000
    assert isinstance(options["ssl_context"], ssl.SSLContext)


@pytest.mark.parametrize("kind", KINDS)
def test_plain_settings_say_nothing_of_security(kind: ClientKind) -> None:
    options = client_options(KafkaSettings(bootstrap="a:1,b:2"), kind)
    assert options == {"bootstrap_servers": "a:1,b:2", "security_protocol": "PLAINTEXT"}


def test_options_of_one_kind_reach_that_kind_and_win() -> None:
    settings = KafkaSettings(
        client={"request_timeout_ms": 1},
        consumer={"request_timeout_ms": 2, "max_poll_records": 7},
        producer={"compression_type": "lz4"},
    )
    assert client_options(settings, "consumer")["request_timeout_ms"] == 2
    assert client_options(settings, "consumer")["max_poll_records"] == 7
    assert client_options(settings, "producer")["compression_type"] == "lz4"
    assert client_options(settings, "producer")["request_timeout_ms"] == 1
    assert "max_poll_records" not in client_options(settings, "producer")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"consumer": {"max_pol_records": 1}}, r"max_pol_records; the nearest .* max_poll_records"),
        ({"client": {"nonsense": 1}}, r"unknown option kafka\.client\.nonsense"),
        ({"client": {"max_poll_records": 1}}, r"not known to every client"),
        ({"client": {"sasl_plain_password": "x"}}, r"as the setting kafka\.sasl_password"),
        ({"consumer": {"bootstrap_servers": "x"}}, r"as the setting kafka\.bootstrap"),
        ({"consumer": {"enable_auto_commit": True}}, r"the engine's to choose"),
        ({"consumer": {"group_id": "x"}}, r"the engine's to choose"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_a_way_out(
    settings: dict[str, dict[str, object]], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        check_options(KafkaSettings.model_validate(settings))


def test_what_the_caller_fixes_stands_and_no_setting_may_name_it() -> None:
    options = client_options(KafkaSettings(), "producer", linger_ms=0)
    assert options["linger_ms"] == 0
    with pytest.raises(SettingsError, match="linger_ms"):
        client_options(KafkaSettings(producer={"linger_ms": 5}), "producer", linger_ms=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_listed_options_are_of_the_real_signature(kind: ClientKind) -> None:
    known = known_options(kind)
    assert set(known) <= set(inspect.signature(CLIENTS[kind]).parameters)
    assert "request_timeout_ms" in known
    assert "topics" not in known


def test_kerberos_without_its_package_is_told_before_a_connection() -> None:
    settings = KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl_mechanism="GSSAPI")
    if importlib.util.find_spec("gssapi") is None:
        with pytest.raises(SettingsError, match="needs the Python package gssapi"):
            client_options(settings, "admin")
    else:
        assert client_options(settings, "admin")["sasl_kerberos_service_name"] == "kafka"


def test_a_token_in_a_file_is_read_anew_at_each_login(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n", encoding="utf-8")
    settings = KafkaSettings(
        security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", sasl_token_file=path
    )
    provider = client_options(settings, "consumer")["sasl_oauth_token_provider"]
    assert asyncio.run(provider.token()) == "first"
    path.write_text("second\n", encoding="utf-8")
    assert asyncio.run(provider.token()) == "second"
    path.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        asyncio.run(provider.token())


def test_a_token_of_the_settings_is_given_as_it_is() -> None:
    settings = KafkaSettings(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        sasl_token=SecretStr("abc"),
    )
    provider = client_options(settings, "admin")["sasl_oauth_token_provider"]
    assert asyncio.run(provider.token()) == "abc"
    assert "abc" not in repr(provider)


def test_a_certificate_is_loaded_with_its_password(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    context = ssl_context(
        KafkaSettings(
            security_protocol="SSL",
            ssl_cafile=cert,
            ssl_certfile=cert,
            ssl_keyfile=key,
            ssl_password=SecretStr("sesame"),
            ssl_check_hostname=False,
        )
    )
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname is False
    assert context.cert_store_stats()["x509"] == 1


@pytest.mark.parametrize("password", [None, "open up"])
def test_a_wrong_or_missing_key_password_is_told_and_not_asked_for(
    certificate: tuple[Path, Path], password: str | None
) -> None:
    cert, key = certificate
    settings = KafkaSettings(
        security_protocol="SSL",
        ssl_certfile=cert,
        ssl_keyfile=key,
        ssl_password=SecretStr(password) if password else None,
    )
    with pytest.raises(SettingsError, match=r"ssl_certfile .*cert\.pem.*ssl_password") as caught:
        ssl_context(settings)
    assert "open up" not in str(caught.value)


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    with pytest.raises(SettingsError, match=r"ssl_cafile .*none\.pem: No such file"):
        ssl_context(KafkaSettings(security_protocol="SSL", ssl_cafile=missing))
    missing.write_text("x", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"ssl_certfile .*none\.pem"):
        ssl_context(KafkaSettings(security_protocol="SSL", ssl_certfile=missing))


def test_a_real_handshake_shows_our_certificate_and_checks_theirs(
    certificate: tuple[Path, Path],
) -> None:
    cert, key = certificate
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key, "sesame")
    server.load_verify_locations(cert)
    server.verify_mode = ssl.CERT_REQUIRED
    trusting = KafkaSettings(
        security_protocol="SSL",
        ssl_cafile=cert,
        ssl_certfile=cert,
        ssl_keyfile=key,
        ssl_password=SecretStr("sesame"),
        ssl_check_hostname=False,
    )
    assert shaken(server, ssl_context(trusting))
    checking = trusting.model_copy(update={"ssl_check_hostname": True})
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shaken(server, ssl_context(checking))
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        shaken(server, ssl_context(KafkaSettings(security_protocol="SSL")))


def shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Whether both sides are content, over memory; raises what the client finds wrong."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname="broker"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        for side in tuple(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
        if not sides:
            return True
    return False
