"""The settings themselves, as frozen models: Kafka, Postgres, Redis, HTTP, logs, the worker.

Place in the flow: made by `load_settings`, read by shells, projections and telemetry. A secret is a
SecretStr, or stands in a file named by the field of the same name with `_file`, which is read when
the model is made. Must never connect to anything.
"""

from __future__ import annotations

import os
import re
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    StringConstraints,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from coordinator.settings.redaction import Redactor, names_secret, password_of, secrets_in

__all__ = [
    "HttpSettings",
    "KafkaSettings",
    "LogSettings",
    "PostgresSettings",
    "RedisSettings",
    "Section",
    "Settings",
    "WorkerSettings",
]

SECRET_BYTES_MAX = 64 * 1024
"""No password or token is longer; a device or a wrong path must not fill the memory."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
TopicPart = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,100}$")]
Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
PORT_MAX = 65_535
_BROKER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


def _is_broker(text: str) -> bool:
    found = _BROKER.fullmatch(text)
    return found is not None and (found["port"] is None or 0 < int(found["port"]) <= PORT_MAX)


def _brokers(text: str) -> str:
    """Refuse what no client could connect to; the client's own words for it name no setting."""
    for number, one in enumerate(text.split(","), 1):
        if not _is_broker(one.strip()):
            raise ValueError(
                f"broker {number} is no HOST:PORT with a port of 1 to {PORT_MAX}; "
                "write HOST:PORT[,HOST:PORT]"
            )
    return text


Brokers = Annotated[Address, AfterValidator(_brokers)]


class Section(BaseModel):
    """What every group of settings is: frozen, closed, silent about its values in errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        read = dict(given)
        for name in cls.secret_fields():
            path = read.get(f"{name}_file")
            if path is None:
                continue
            if read.get(name) is not None:
                raise ValueError(f"give {name} or {name}_file, not both")
            read[name] = _secret_in(path, f"{name}_file")
        return read

    @classmethod
    def secret_fields(cls) -> tuple[str, ...]:
        """The names of the fields that may come from a file beside them."""
        return tuple(name for name in cls.model_fields if f"{name}_file" in cls.model_fields)


def _secret_in(path: object, name: str) -> str:
    """The text of a secret's file without its last line end; raises ValueError with the reason."""
    try:
        with Path(str(path)).expanduser().open("rb") as file:
            content = file.read(SECRET_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ValueError(f"{name} {path} cannot be read: {reason}") from error
    if len(content) > SECRET_BYTES_MAX:
        raise ValueError(f"{name} {path} is longer than {SECRET_BYTES_MAX} bytes: no secret")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        # From None: the foreign error carries the bytes.
        raise ValueError(f"{name} {path} is not UTF-8 text") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ValueError(f"{name} {path} is empty")
    return secret


class KafkaSettings(Section):
    """How to reach the broker, and what else its clients are told."""

    bootstrap: Brokers = Field(
        default="localhost:9092", description="Brokers to start from: HOST:PORT, several by comma."
    )
    prefix: TopicPart = Field(default="", description="Put before every topic's name.")
    replication: int = Field(
        default=1, ge=1, le=32767, description="Copies of each partition of the topics made."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How to speak to brokers."
    )
    sasl_mechanism: (
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER"] | None
    ) = Field(default=None, description="How to log in, for the two SASL protocols.")
    sasl_username: str | None = Field(default=None, description="For PLAIN and SCRAM.")
    sasl_password: SecretStr | None = Field(default=None, description="For PLAIN and SCRAM.")
    sasl_password_file: Path | None = Field(default=None, description="Where sasl_password stands.")
    sasl_token: SecretStr | None = Field(default=None, description="For OAUTHBEARER.")
    sasl_token_file: Path | None = Field(
        default=None,
        description="Where sasl_token stands; read anew at each login, so that it may be renewed.",
    )
    sasl_kerberos_service_name: str = Field(
        default="kafka", description="For GSSAPI, which needs the package gssapi."
    )
    sasl_kerberos_domain_name: str | None = Field(
        default=None, description="For GSSAPI; the broker's host where not given."
    )
    ssl_cafile: Path | None = Field(
        default=None, description="Authorities to trust (PEM); those of the system if not given."
    )
    ssl_certfile: Path | None = Field(default=None, description="Our certificate (PEM).")
    ssl_keyfile: Path | None = Field(
        default=None, description="Our private key (PEM); in ssl_certfile if not given."
    )
    ssl_password: SecretStr | None = Field(default=None, description="Opens ssl_keyfile.")
    ssl_password_file: Path | None = Field(default=None, description="Where ssl_password stands.")
    ssl_check_hostname: bool = Field(
        default=True, description="Whether the broker's certificate must name its host."
    )
    client: dict[str, JsonValue] = Field(
        default_factory=dict, description="More aiokafka options, for every client."
    )
    consumer: dict[str, JsonValue] = Field(
        default_factory=dict, description="More aiokafka options, for consumers."
    )
    producer: dict[str, JsonValue] = Field(
        default_factory=dict, description="More aiokafka options, for producers."
    )
    admin: dict[str, JsonValue] = Field(
        default_factory=dict, description="More aiokafka options, for the admin client."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.security_protocol.startswith("SASL"):
            self._check_login()
        elif self.sasl_mechanism or self.sasl_username or self.sasl_password or self.sasl_token:
            raise ValueError(
                f"sasl_* is given, but security_protocol {self.security_protocol} does not log in; "
                "set SASL_SSL (or SASL_PLAINTEXT)"
            )
        encrypted = self.security_protocol.endswith("SSL")
        if not encrypted and (self.ssl_cafile or self.ssl_certfile or self.ssl_keyfile):
            raise ValueError(
                f"ssl_* is given, but security_protocol {self.security_protocol} does not encrypt; "
                "set SSL or SASL_SSL"
            )
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ValueError("ssl_keyfile is given without ssl_certfile")
        return self

    def _check_login(self) -> None:
        if self.sasl_mechanism is None:
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_mechanism")
        if self.sasl_mechanism == "OAUTHBEARER" and not self.sasl_token:
            raise ValueError("sasl_mechanism OAUTHBEARER needs sasl_token or sasl_token_file")
        named = self.sasl_mechanism == "PLAIN" or self.sasl_mechanism.startswith("SCRAM")
        if named and not (self.sasl_username and self.sasl_password):
            raise ValueError(
                f"sasl_mechanism {self.sasl_mechanism} needs sasl_username and sasl_password "
                "(or sasl_password_file)"
            )


with warnings.catch_warnings():
    # Everybody calls it a schema; pydantic warns of its own method, long deprecated, of that name.
    warnings.filterwarnings("ignore", message='Field name "schema"')

    class PostgresSettings(Section):
        """Where the relational projections stand."""

        dsn: SecretStr | None = Field(
            default=None,
            description="postgresql://USER:PASSWORD@HOST:PORT/DATABASE, if there is one.",
        )
        dsn_file: Path | None = Field(default=None, description="Where dsn stands.")
        schema: Name = Field(  # type: ignore[assignment] # As above: hides a deprecated method.
            default="coordinator", description="The schema that holds our tables."
        )


class RedisSettings(Section):
    """Where the latest state stands for quick reads."""

    url: SecretStr | None = Field(
        default=None, description="redis://USER:PASSWORD@HOST:PORT/NUMBER, if any."
    )
    url_file: Path | None = Field(default=None, description="Where url stands.")
    prefix: TopicPart = Field(default="coordinator", description="Put before every key.")


class HttpSettings(Section):
    """Where health and metrics are served."""

    host: Address = Field(default="127.0.0.1", description="The one address that is listened on.")
    port: int = Field(default=8070, ge=0, le=65535, description="0: any that is unused.")


class LogSettings(Section):
    """What is said on stderr, and how."""

    level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        default="info", description="Nothing less grave is logged."
    )
    format: Literal["json", "console"] = Field(
        default="json", description="json: one object a line; console: for people."
    )


def _own_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class WorkerSettings(Section):
    """What one worker does."""

    shards: int = Field(default=8, ge=1, le=1024, description="Shards of the whole engine.")
    group: TopicPart = Field(
        default="coordinator",
        min_length=1,
        description="Names the consumer groups: PREFIX, this, and .engine, .router, .views or "
        ".applied.",
    )
    id: TopicPart = Field(
        default_factory=_own_id, min_length=1, description="This worker's name in logs and groups."
    )
    static: bool = Field(
        default=False,
        description="Join groups under `id`, so that a restart within the session timeout moves "
        "no shard. Needs an id of its own for every worker.",
    )
    session_timeout_ms: int = Field(
        default=8_000, ge=6_000, le=300_000, description="A worker silent for this long is gone."
    )
    heartbeat_ms: int = Field(
        default=1_500, ge=100, le=60_000, description="How often a worker says that it is there."
    )
    join_s: float = Field(
        default=60.0, gt=0, le=3_600, description="A worker without its group for this long ends."
    )
    stall_s: float = Field(
        default=30.0,
        gt=0,
        le=3_600,
        description="A shard that does not move for this long while its journal grows ends the "
        "worker.",
    )
    stop_s: float = Field(
        default=20.0, gt=0, le=600, description="A graceful stop takes no longer than this."
    )
    fetch_records_max: int = Field(
        default=2_000, ge=1, le=100_000, description="Messages a router takes at once."
    )
    queue_records_max: int = Field(
        default=20_000,
        ge=1,
        le=10_000_000,
        description="Delivered records that wait for a shard; what is beyond is read again later.",
    )
    journal_lag_max: int = Field(
        default=100_000,
        ge=1,
        description="Routers append no more while an engine is this many records behind.",
    )
    shed_after_ms: int = Field(
        default=10_000,
        ge=0,
        description="After such a hold, signals that waited longer than this are shed.",
    )
    round_processes: int = Field(
        default=1, ge=1, le=256, description="Processes that work out rounds due together, "
        "at most the root of their number; one, as parts share a host, unless its cores idle."
    )  # fmt: skip
    checkpoint_decisions: int = Field(
        default=500, ge=1, le=1_000_000, description="Decisions of a shard between checkpoints."
    )
    checkpoint_s: float = Field(
        default=30.0, gt=0, le=86_400, description="Longest time between checkpoints."
    )
    view_windows_s: tuple[Annotated[int, Field(ge=1, le=31_536_000)], ...] = Field(
        default=(60, 3_600, 86_400),
        max_length=10,
        description="Lengths of the tumbling windows of views, seconds; sliding ones are made of "
        "them.",
    )
    view_windows_kept: int = Field(
        default=1_500,
        ge=1,
        le=1_000_000,
        description="Windows of one length that are kept of each portfolio and source.",
    )


class Settings(BaseSettings):
    """Everything, as one frozen object. Made by `load_settings`; by itself it reads nothing."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    postgres: PostgresSettings = Field(default_factory=PostgresSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the constructor is given.

        `load_settings` merges the layers, and says which key of which layer is wrong, where the
        library's own sources pass over unknown names.
        """
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for what must hide them: also the passwords inside addresses."""
        found = {secret for _, secret in _secrets(self) if secret}
        return tuple(sorted(found))

    def group(self, part: str) -> str:
        """The consumer group of a part; systems with prefixes of their own share none."""
        return f"{self.kafka.prefix}{self.worker.group}.{part}"

    def redacted(self) -> dict[str, JsonValue]:
        """All settings as plain data that may be shown, in logs too."""
        shown = Redactor(self.secrets()).value(self.model_dump(mode="json"))
        if not isinstance(shown, dict):
            raise TypeError("settings are a mapping")
        return shown


def _secrets(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Each secret below a value with the name of its field."""
    if isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _secrets(getattr(value, field), field)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _secrets(inner, str(key))
    elif isinstance(value, SecretStr):
        secret = value.get_secret_value()
        yield name, secret
        for one in secrets_in(secret):
            yield name, one
    elif isinstance(value, str):
        yield name, value if names_secret(name) else (password_of(value) or "")
