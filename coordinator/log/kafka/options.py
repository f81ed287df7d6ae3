"""What our Kafka clients are constructed with: the settings as aiokafka's own arguments.

Place in the flow: between the settings and every aiokafka client of the log and the shells. An
option that is passed through is checked against the client's real signature before anything
starts. Must never connect, nor show a secret.
"""

from __future__ import annotations

import asyncio
import difflib
import importlib.util
import inspect
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from coordinator.settings import KafkaSettings, SettingsError

__all__ = ["ClientKind", "check_options", "client_options", "known_options", "ssl_context"]

ClientKind: TypeAlias = Literal["consumer", "producer", "admin"]

_CLIENTS: Mapping[ClientKind, type] = {
    "consumer": AIOKafkaConsumer,
    "producer": AIOKafkaProducer,
    "admin": AIOKafkaAdminClient,
}

_SETTINGS = {
    "bootstrap_servers": "kafka.bootstrap",
    "security_protocol": "kafka.security_protocol",
    "ssl_context": "kafka.ssl_cafile and its like",
    "sasl_mechanism": "kafka.sasl_mechanism",
    "sasl_plain_username": "kafka.sasl_username",
    "sasl_plain_password": "kafka.sasl_password",
    "sasl_oauth_token_provider": "kafka.sasl_token",
    "sasl_kerberos_service_name": "kafka.sasl_kerberos_service_name",
    "sasl_kerberos_domain_name": "kafka.sasl_kerberos_domain_name",
}
"""Options that have a setting of their own, by which they are given."""

_OURS = frozenset(
    (
        *("loop", "group_id", "group_instance_id", "key_deserializer", "value_deserializer"),
        *("auto_offset_reset", "enable_auto_commit", "auto_commit_interval_ms"),
        *("isolation_level", "partition_assignment_strategy", "consumer_timeout_ms"),
        *("acks", "enable_idempotence", "key_serializer", "value_serializer", "partitioner"),
        *("transactional_id", "transaction_timeout_ms", "exclude_internal_topics"),
    )
)
"""What the engine's promises rest on: order, durability, who reads what. Not for settings."""


def client_options(settings: KafkaSettings, kind: ClientKind, **fixed: object) -> dict[str, Any]:
    """The keyword arguments of one kind of aiokafka client.

    fixed: what the caller needs as it is; an option of the settings must not name it. Raises
    SettingsError for an option that the client does not know, or that is not a setting's to give.
    """
    options = _connection(settings)
    for group, given in (("client", settings.client), (kind, getattr(settings, kind))):
        for name, value in given.items():
            _check(f"kafka.{group}", name, kind, fixed)
            options[name] = value
    return options | fixed


def check_options(settings: KafkaSettings) -> None:
    """Raise SettingsError if one of the clients could not be made of these settings.

    For the start of a process: otherwise a producer's wrong option is found at the first send.
    """
    for kind in _CLIENTS:
        client_options(settings, kind)


def known_options(kind: ClientKind) -> tuple[str, ...]:
    """The names that may be passed through to a client of this kind, sorted."""
    parameters = inspect.signature(_CLIENTS[kind]).parameters.values()
    names = {one.name for one in parameters if one.kind is not one.VAR_POSITIONAL}
    return tuple(sorted(names - set(_SETTINGS) - _OURS))


def _check(group: str, name: str, kind: ClientKind, fixed: Mapping[str, object]) -> None:
    if name in _SETTINGS:
        raise SettingsError(f"{group}.{name} is given as the setting {_SETTINGS[name]}")
    if name in _OURS or name in fixed:
        raise SettingsError(f"{group}.{name} is the engine's to choose; leave it out")
    known = known_options(kind)
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    listed = ", ".join(known)
    if group == "kafka.client" and any(name in known_options(other) for other in _CLIENTS):
        raise SettingsError(
            f"{group}.{name} is not known to every client; give it under the kinds that know it "
            f"(the {kind} knows {listed})"
        )
    raise SettingsError(
        f"unknown option {group}.{name}; the nearest known one is {near} (of {listed})"
    )


def _connection(settings: KafkaSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl_context(settings)
    if settings.sasl_mechanism is not None:
        options |= _login(settings)
    return options


def _login(settings: KafkaSettings) -> dict[str, Any]:
    mechanism = settings.sasl_mechanism
    options: dict[str, Any] = {"sasl_mechanism": mechanism}
    if mechanism == "OAUTHBEARER":
        if settings.sasl_token is None:
            raise SettingsError("kafka.sasl_mechanism OAUTHBEARER needs kafka.sasl_token")
        return options | {
            "sasl_oauth_token_provider": _Token(settings.sasl_token, settings.sasl_token_file)
        }
    if mechanism == "GSSAPI":
        if importlib.util.find_spec("gssapi") is None:
            raise SettingsError(
                "kafka.sasl_mechanism GSSAPI needs the Python package gssapi; install it"
            )
        return options | {
            "sasl_kerberos_service_name": settings.sasl_kerberos_service_name,
            "sasl_kerberos_domain_name": settings.sasl_kerberos_domain_name,
        }
    return options | {
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": _bare(settings.sasl_password),
    }


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    """What verifies the broker, and holds our certificate where one is given.

    Raises SettingsError that names the file which does not do.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ssl_cafile)
    except (OSError, ValueError) as error:
        raise SettingsError(f"kafka.ssl_cafile {settings.ssl_cafile}: {_why(error)}") from error
    context.check_hostname = settings.ssl_check_hostname
    if settings.ssl_certfile is not None:
        # Without a password, OpenSSL would ask for one on the terminal, and wait.
        password = _bare(settings.ssl_password) or ""
        try:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, lambda: password)
        except (OSError, ValueError) as error:
            files = f"{settings.ssl_certfile}, key {settings.ssl_keyfile or 'in the same file'}"
            raise SettingsError(
                f"kafka.ssl_certfile {files}: {_why(error)}; is kafka.ssl_password the key's?"
            ) from error
    return context


def _why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or "unreadable"


def _bare(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


class _Token(AbstractTokenProvider):  # type: ignore[misc] # aiokafka publishes no types.
    """A token that stands in the settings, or in a file that something else keeps fresh."""

    def __init__(self, token: SecretStr, path: Path | None) -> None:
        self._token = token
        self._path = path

    async def token(self) -> str:
        """The token to log in with now."""
        if self._path is None:
            return self._token.get_secret_value()
        return await asyncio.to_thread(self._read, self._path)

    def _read(self, path: Path) -> str:
        """As the file says now. Raises SettingsError when it can no longer be read."""
        try:
            fresh = KafkaSettings(
                security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", sasl_token_file=path
            )
        except ValueError as error:
            raise SettingsError(f"kafka.sasl_token_file {path} cannot be read") from error
        return _bare(fresh.sasl_token) or ""
