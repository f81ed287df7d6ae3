"""What hides secrets wherever something is shown: settings, log lines, errors.

Place in the flow: below the settings, which know the secrets, and the logs, which must not show
them. Secrets are found by their value, by the name of the field that holds them, and as the
password inside an address. Must never return a value that it could not look through.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote

__all__ = ["REDACTED", "Redactor", "names_secret", "password_of", "secrets_in"]

REDACTED = "**********"
SECRET_LENGTH_MIN = 4
"""A shorter value stands in half of all words; it is hidden by its field's name alone."""
DEPTH_MAX = 8

_NAMES = re.compile(
    r"(passw(or)?d|passphrase|secret|token|credential|private_?key|api_?key|authorization)",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"(_file|_provider|_path|_location)$", re.IGNORECASE)
# Each repetition is bounded, or begins where a word does: a long text takes time in proportion.
_ADDRESS = re.compile(
    r"(?P<start>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^\s/?#@:]{0,200}:)[^\s/?#]{0,2000}(?=@)",
    re.IGNORECASE,
)
_PAIR = re.compile(
    r"(?P<start>\b\w{0,60}(?:passw(?:or)?d|passphrase|secret)\w{0,60}[\"']?\s{0,9}[=:]\s{0,9})"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&)}\]\"']+)",
    re.IGNORECASE,
)


_LOGIN = re.compile(r"://(?P<login>.*)@", re.DOTALL)
"""What stands before an address's last @, whatever it is made of."""
_PLAIN_LOGIN = re.compile(
    r"(?:[^\s/?#@:\[\]%]|%[0-9a-f]{2})*(?::(?:[^\s/?#@:\[\]%]|%[0-9a-f]{2})*)?", re.IGNORECASE
)
_KEYED = re.compile(r"\bpassword\s*=(?P<value>.*?)(?=\s\w+\s*=|\Z)", re.IGNORECASE | re.DOTALL)


def names_secret(name: str) -> bool:
    """Whether a field of this name holds a secret: a password, a token, a key."""
    return bool(_NAMES.search(name)) and not _HARMLESS.search(name)


def password_of(address: str) -> str | None:
    """The password inside an address (`scheme://user:password@host`, `password=...`), if any."""
    if found := re.search(r"://[^\s/?#@:]*:(?P<password>[^\s/?#]*)@", address):
        return unquote(found["password"]) or None
    pair = r"\bpassword\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<bare>[^\s&]+))"
    if found := re.search(pair, address, re.IGNORECASE):
        return found["quoted"] or found["bare"]
    return None


def secrets_in(address: str) -> Iterator[str]:
    """Every text that an error about this address may show of its secrets.

    Where the address cannot be read as one, that is all that may be meant as its login: whole, and
    each part that a parser may take it to pieces into.
    """
    if password := password_of(address):
        yield password
    if found := _LOGIN.search(address):
        login = found["login"]
        yield login.partition(":")[2]  # As it is written there.
        if not _PLAIN_LOGIN.fullmatch(login):
            yield from (login, *re.split(r"[:/?#@&=\[\]\s]+", login))
    for pair in _KEYED.finditer(address):
        value = pair["value"].strip()
        yield from (value, unquote(value), *re.split(r"[\s&'\"]+", value))


class Redactor:
    """Looks through values and hides the given secrets in them, and what is named like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {
            form
            for secret in secrets
            if len(secret) >= SECRET_LENGTH_MIN
            for form in _forms(secret)
            if len(form) >= SECRET_LENGTH_MIN
        }
        # The longest first: one secret may be the start of another.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """The text without the known secrets and without passwords in addresses and pairs."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        if "://" in text:
            text = _ADDRESS.sub(rf"\g<start>{REDACTED}", text)
        return _PAIR.sub(rf"\g<start>{REDACTED}", text)

    def value(self, value: object, depth: int = 0) -> object:
        """A copy of plain data (mappings, sequences, texts, numbers) with every secret hidden.

        What is neither is shown by its repr, looked through as a text; what lies deeper than
        DEPTH_MAX is not shown at all.
        """
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return self._number(value)
        if isinstance(value, str):
            return self.text(value)
        if depth >= DEPTH_MAX:
            return "..."
        if isinstance(value, Mapping):
            return {
                self.text(str(name)): self._field(str(name), inner, depth)
                for name, inner in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(inner, depth + 1) for inner in value]
        return self.text(_shown(value))

    def _number(self, value: float) -> object:
        plain = int(value) if isinstance(value, int) else float(value)
        if self._known is not None and self._known.fullmatch(repr(plain)):
            return REDACTED
        # JSON has no word for these.
        return plain if isinstance(plain, int) or math.isfinite(plain) else repr(plain)

    def _field(self, name: str, value: object, depth: int) -> object:
        if names_secret(name) and value is not None and not isinstance(value, bool):
            return REDACTED
        return self.value(value, depth + 1)


def _shown(value: object) -> str:
    """The repr, or that there is none: a broken repr must not take a log line with it."""
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - whatever a foreign repr raises, the line goes on
        return f"<{type(value).__name__} without repr: {type(error).__name__}>"


def _forms(secret: str) -> Iterable[str]:
    """The secret as it stands in texts: itself, and as repr, JSON and addresses write it."""
    yield secret
    yield repr(secret)[1:-1]
    yield repr(secret.encode("utf-8", "surrogatepass"))[2:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    printable = secret.encode("utf-8", "replace").decode()
    yield quote(printable, safe="")
    yield quote(printable)
    yield quote_plus(printable)
