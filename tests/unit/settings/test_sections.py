"""Settings that do not fit together are refused, and nothing shows a secret."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from coordinator.settings import REDACTED, KafkaSettings, Redactor, Settings
from coordinator.settings.redaction import names_secret, password_of

SECRETS = st.text(min_size=4, max_size=40).filter(lambda text: not set(text) <= set("*0123456789"))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"security_protocol": "SASL_SSL"}, "needs sasl_mechanism"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, "needs sasl_username"),
        (
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_username": "u",
            },
            "sasl_password_file",
        ),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, "sasl_token"),
        ({"sasl_username": "u"}, "does not log in"),
        ({"sasl_password": "p", "security_protocol": "SSL"}, "does not log in"),
        ({"ssl_cafile": "ca.pem"}, "does not encrypt"),
        ({"security_protocol": "SSL", "ssl_keyfile": "key.pem"}, "without ssl_certfile"),
        ({"bootstrap": "  "}, "at least 1 character"),
        ({"bootstrap": "a\nb:1\x1b[31m"}, "broker 1 is no HOST:PORT"),
        ({"bootstrap": "a:1,:2"}, "broker 2 is no HOST:PORT"),
        ({"bootstrap": "a:1,"}, "broker 2 is no HOST:PORT"),
        ({"bootstrap": "a:0"}, "port of 1 to 65535"),
        ({"bootstrap": "a:65536"}, "port of 1 to 65535"),
        ({"bootstrap": "a:\u0661"}, "broker 1 is no HOST:PORT"),
        ({"bootstrap": "a:1:2"}, "broker 1 is no HOST:PORT"),
        ({"prefix": "a/b"}, "pattern"),
        ({"nonsense": 1}, "Extra inputs"),
    ],
)
def test_kafka_settings_that_do_not_fit_together_are_refused(
    given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        KafkaSettings(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"security_protocol": "SSL", "ssl_certfile": "c.pem", "ssl_keyfile": "k.pem"},
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "GSSAPI"},
        {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_username": "u",
            "sasl_password": "p",
        },
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER", "sasl_token": "t"},
    ],
)
def test_every_way_to_log_in_can_be_said(given: dict[str, Any]) -> None:
    assert KafkaSettings(**given).security_protocol == given["security_protocol"]


def test_settings_are_frozen() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.http.port = 1  # type: ignore[misc] # Planted.
    with pytest.raises(ValidationError, match="frozen"):
        settings.http = settings.http  # type: ignore[misc] # Planted.


def secretive(secret: str) -> Settings:
    return Settings.model_validate(
        {
            "kafka": {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "PLAIN",
                "sasl_username": "ann",
                "sasl_password": secret,
                "ssl_password": secret,
                "client": {"sasl_plain_password": secret, "nested": [{"api_key": secret}]},
            },
            "postgres": {"dsn": f"postgresql://ann:{secret}@db/x"},
            "redis": {"url": secret},
        }
    )


@given(SECRETS)
def test_no_view_of_the_settings_shows_a_secret(secret: str) -> None:
    settings = secretive(secret)
    plain = json.dumps(Settings().redacted())
    for shown in (json.dumps(settings.redacted()), repr(settings.postgres), str(settings.redis)):
        for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert form in plain or form in "ann" or form not in shown.replace(REDACTED, "")


def test_redacted_still_shows_what_is_no_secret() -> None:
    shown = secretive("hunter22").redacted()
    assert isinstance(shown["kafka"], dict)
    assert shown["kafka"]["bootstrap"] == "localhost:9092"
    assert shown["kafka"]["sasl_username"] == "ann"
    assert shown["kafka"]["sasl_password"] == REDACTED
    assert shown["kafka"]["client"] == {
        "sasl_plain_password": REDACTED,
        "nested": [{"api_key": REDACTED}],
    }


def test_the_secrets_of_the_settings_include_passwords_inside_addresses() -> None:
    settings = Settings.model_validate(
        {"postgres": {"dsn": "host=db password='pa ss'"}, "redis": {"url": "redis://:p%40ss@h/0"}}
    )
    assert {"pa ss", "p@ss"} <= set(settings.secrets())


@given(SECRETS, st.text(max_size=20), st.text(max_size=20))
def test_a_known_secret_is_found_inside_any_text_and_any_nesting(
    secret: str, before: str, after: str
) -> None:
    redactor = Redactor([secret])
    value = {
        "a": [f"{before}{secret}{after}", {f"{before}{secret}": (secret, SecretStr(secret))}],
        "b": ValueError(secret),
        "c": secret.encode("utf-8", "surrogatepass"),
    }
    shown = json.dumps(redactor.value(value)).replace(REDACTED, "\0")
    assert secret not in shown.replace("\0", "") or secret in before + after + "abValueError"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://ann:sesame@h:1/0 down", f"redis://ann:{REDACTED}@h:1/0 down"),
        ("redis://:sesame@h:1/0", f"redis://:{REDACTED}@h:1/0"),
        ("host=db password=sesame user=ann", f"host=db password={REDACTED} user=ann"),
        ("sasl_plain_password='se same', x=1", f"sasl_plain_password={REDACTED}, x=1"),
        ("{'password': 'sesame'}", f"{{'password': {REDACTED}}}"),
        ("http://host/path?x=1@2", "http://host/path?x=1@2"),
        ("passwords are hidden", "passwords are hidden"),
    ],
)
def test_passwords_are_hidden_by_where_they_stand(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown


def test_a_value_that_cannot_be_shown_hides_itself_not_the_line() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("sesame")

    loop: dict[str, object] = {"fine": 1}
    loop["self"] = loop
    shown = Redactor().value({"x": Broken(), "loop": loop})
    assert isinstance(shown, dict)
    assert shown["x"] == "<Broken without repr: RuntimeError>"
    assert "..." in json.dumps(shown["loop"])


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("sasl_password", True),
        ("SASL-Password", True),
        ("apiKey", True),
        ("access_token", True),
        ("password_file", False),
        ("sasl_oauth_token_provider", False),
        ("key", False),
        ("portfolio", False),
    ],
)
def test_fields_that_hold_secrets_are_known_by_their_names(name: str, *, secret: bool) -> None:
    assert names_secret(name) is secret


@pytest.mark.parametrize(
    ("address", "password"),
    [
        ("postgresql://ann:p%40ss@h/x", "p@ss"),
        ("host=h password=abc", "abc"),
        ("host=h", None),
        ("redis://h:1/0", None),
        ("redis://:abc@h", "abc"),
    ],
)
def test_the_password_inside_an_address_is_found(address: str, password: str | None) -> None:
    assert password_of(address) == password


@pytest.mark.parametrize(
    "text", ["://a:", "password='", "secret = ", "a://b:c@d ", "x", "password"]
)
def test_a_long_hostile_text_is_looked_through_in_time_that_grows_with_its_length(
    text: str,
) -> None:
    started = time.process_time()
    Redactor(["sesame"]).text(text * (1_000_000 // len(text)) + "://")
    assert time.process_time() - started < 5


def test_systems_with_prefixes_of_their_own_share_no_consumer_group() -> None:
    ours, theirs = (Settings(kafka=KafkaSettings(prefix=name)) for name in ("ours.", "theirs."))
    assert ours.group("engine") == "ours.coordinator.engine"
    assert not {ours.group(part) for part in ("engine", "router")} & {theirs.group("engine")}


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://u:100%hunter2SECRET@h:1/x", 'invalid token: "100%hunter2SECRET"'),
        ("postgresql://u:hun/ter2SECRET@h:1/x", 'database "ter2SECRET" of host "h"'),
        ("postgresql://u:a@b:hunter2SECRET?x@h:1/x", 'port "hunter2SECRET"'),
        ("postgresql://u:%41hunter2SECRET@[h:1/x", "both %41hunter2SECRET and Ahunter2SECRET"),
        ("host=h password=hun ter2SECRET port=1", 'missing "=" after "ter2SECRET"'),
        ("host=h password='hunter2SECRET port=1", "unterminated 'hunter2SECRET port=1"),
    ],
)
def test_no_part_of_an_address_that_cannot_be_read_is_shown(dsn: str, said: str) -> None:
    settings = Settings.model_validate({"postgres": {"dsn": dsn}})
    assert "ter2SECRET" not in Redactor(settings.secrets()).text(said)


@pytest.mark.parametrize("text", [" kafka-1.example:9092, [::1]:1,127.0.0.1:65535 ", "a_b"])
def test_brokers_with_and_without_a_port_are_taken(text: str) -> None:
    assert KafkaSettings(bootstrap=text).bootstrap == text.strip()


def test_what_is_no_secret_of_an_address_stays_readable() -> None:
    dsn = "postgresql://somebody:hunter2SECRET@database:5432/engine"
    settings = Settings.model_validate({"postgres": {"dsn": dsn}})
    said = 'connection to "database", port 5432, as "somebody" failed'
    assert Redactor(settings.secrets()).text(said) == said
