"""Makes `.venv` match requirements.lock and installs the project into it, editable.

With --bench it makes `.venv-bench` match tests/bench/requirements.lock: the same packages, and the
peers that benchmarks compare with, which neither the product nor a test needs.

Run by ops/setup with any Python from 3.11 on, before anything is installed: it uses the standard
library alone. It never touches what lies outside the project's folder, never downloads a Python,
and never leaves a half-made environment that a later run would take for a whole one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

__all__ = ["SetUpFailedError", "main"]

ROOT = Path(__file__).resolve().parent.parent
BENCH = sys.argv[1:] == ["--bench"]
VENV = ROOT / (".venv-bench" if BENCH else ".venv")
PYTHON = VENV / "bin" / "python"
LOCK_FILE = ROOT / ("tests/bench/requirements.lock" if BENCH else "requirements.lock")
STAMP = VENV / ".set-up-from"
GUARD = ROOT / f"{VENV.name}.lock"
OLDEST = (3, 11)
WORD_AFTER_S = 20
LINES_SHOWN_MAX = 25
REMEDY = (
    "Install uv, or Python's venv module (Debian, Ubuntu: apt install python3-venv), "
    "and run the same command again."
)

# Of pip's and uv's variables only those stay that say how to reach an index or where to cache:
# PIP_USER, PIP_TARGET, UV_PYTHON and their like would send the packages elsewhere.
KEPT_WORDS = (
    *("CACHE", "CERT", "CONFIG_FILE", "FIND_LINKS", "HOST", "HTTP", "INDEX", "KEYRING"),
    *("LINK_MODE", "OFFLINE", "PROXY", "RETRIES", "SSL", "TIMEOUT", "TLS"),
)
DROPPED = ("PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
# These overrule a pip.conf that says otherwise.
FIXED = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_USER": "0",
    "UV_PYTHON_DOWNLOADS": "never",
}


class SetUpFailedError(Exception):
    """The environment could not be made; the message says what failed and what to do."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One way to make the environment. make: commands, tried in order until one succeeds."""

    name: str
    make: tuple[tuple[str, ...], ...]
    install: tuple[str, ...]


def main() -> int:
    """Brings the environment up to date. Returns the exit code."""
    if sys.argv[1:] and not BENCH:
        say("usage: ops/setup [--bench]")
        return 2
    try:
        if not is_current():
            with alone() as guard:
                bring_up_to_date(guard)
    except SetUpFailedError as error:
        say(f"set-up failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("set-up interrupted; the next run starts it afresh")
        return 130
    return 0


def say(text: str) -> None:
    """Progress goes to stderr: stdout is for the data of the command that follows."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def is_current() -> bool:
    """Whether the last set-up here ended well and nothing it depends on has changed since."""
    return not was_interrupted() and stamped() == wanted(venv_version())


def was_interrupted() -> bool:
    """Whether a set-up began and did not end: the guard file holds a word only meanwhile."""
    return GUARD.is_file() and GUARD.stat().st_size > 0


def stamped() -> str | None:
    """What the present environment was made from; None for one that is not ours, or none."""
    return STAMP.read_text(encoding="utf-8") if STAMP.is_file() else None


def wanted(version: str | None) -> str:
    """The stamp of an up-to-date environment: place, Python, lock file, project's declaration.

    The place is part of it because scripts and the editable install hold absolute paths.
    """
    hashes = (digest(LOCK_FILE), digest(ROOT / "pyproject.toml"))
    return "\n".join((str(VENV), str(version), *hashes, ""))


def digest(path: Path) -> str:
    """The SHA-256 of a file of the project. Raises SetUpFailedError when it is missing."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise SetUpFailedError(f"{path.name}: {error.strerror}; is the checkout whole?") from error


def venv_version() -> str | None:
    """The version of the environment's Python, like 3.12.1; None where it does not run."""
    program = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        done = subprocess.run(
            (str(PYTHON), "-I", "-c", program), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@contextmanager
def alone() -> Iterator[TextIO]:
    """Holds the guard file's lock; a second set-up waits for the first one's end."""
    try:
        guard = GUARD.open("a", encoding="utf-8")
    except OSError as error:
        raise SetUpFailedError(f"cannot write in {ROOT}: {error.strerror}") from error
    with guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("set-up: another one is at work in this folder; waiting for it to end")
            fcntl.flock(guard, fcntl.LOCK_EX)
        yield guard


def bring_up_to_date(guard: TextIO) -> None:
    """Makes or completes the environment with the first tool that manages to."""
    if is_current():
        return
    started = time.monotonic()
    fresh = needs_new()
    if fresh or stamped() is not None:  # One made by somebody else is never marked for removal.
        guard.write("unfinished\n")
        guard.flush()
    STAMP.unlink(missing_ok=True)
    set_up(tools(), fresh=fresh, guard=guard)
    STAMP.write_text(wanted(venv_version()), encoding="utf-8")
    guard.truncate(0)
    say(f"set-up: done in {time.monotonic() - started:.0f} s")


def needs_new() -> bool:
    """Whether `.venv` must be made from nothing.

    Raises SetUpFailedError for one that is neither ours nor usable: we delete nobody's work.
    """
    if was_interrupted() or not VENV.exists():
        return True
    stamp, version = stamped(), venv_version()
    if stamp is not None:
        return stamp.splitlines()[:2] != [str(VENV), str(version)]
    if version is None or tuple(map(int, version.split(".")))[:2] < OLDEST:
        raise SetUpFailedError(
            f"{VENV} was not made by this script and its Python is {version or 'broken'}; "
            "move it away and run the same command again"
        )
    return False


def tools() -> tuple[Tool, ...]:
    """First uv, where it runs, then pip."""
    return tuple(tool for tool in (uv(), pip()) if tool is not None)


def uv() -> Tool | None:
    """The uv on the PATH; None where there is none, or only a version manager's empty shim."""
    path = shutil.which("uv")
    if path is None or not succeeds((path, "--version")):
        return None
    return Tool(
        name="uv",
        make=((path, "venv", "--quiet", "--python", base_python(), str(VENV)),),
        install=(path, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(PYTHON)),
    )


def pip() -> Tool:
    """pip, in the environment or, where Python came without ensurepip (Debian), from outside."""
    python = base_python()
    return Tool(
        name="pip",
        make=(
            (python, "-m", "venv", str(VENV)),
            (python, "-m", "virtualenv", "--quiet", str(VENV)),
            (python, "-m", "venv", "--without-pip", str(VENV)),
        ),
        install=(python, "-m", "pip", "--python", str(PYTHON), "install", "--quiet"),
    )


def base_python() -> str:
    """The Python that the environment is made from.

    Never that of an active environment, which may be the very one to be replaced.
    """
    if sys.prefix == sys.base_prefix:
        return sys.executable
    return str(sys._base_executable)  # type: ignore[attr-defined] # noqa: SLF001 - as venv does


def set_up(candidates: tuple[Tool, ...], *, fresh: bool, guard: TextIO) -> None:
    """Runs the whole set-up with one tool; the next one starts it anew after a failure."""
    for tool in candidates:
        try:
            if fresh:
                make(tool, guard)
            install(tool, guard)
        except SetUpFailedError as error:
            if tool is candidates[-1]:
                raise
            say(f"set-up: {error}\nset-up: trying without {tool.name}")
        else:
            return


def make(tool: Tool, guard: TextIO) -> None:
    """An empty environment in place of whatever was there."""
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"set-up: making {VENV.name} with Python {version} and {tool.name}")
    for command in tool.make:
        shutil.rmtree(VENV, ignore_errors=True)
        try:
            return run(command, guard, doing=f"making {VENV.name}")
        except SetUpFailedError as error:
            failure = error
    raise SetUpFailedError(f"{failure}\n{REMEDY}") from failure


def install(tool: Tool, guard: TextIO) -> None:
    """The locked packages, then the project itself, without fetching anything that is unpinned."""
    program = tool.install if tool.name == "uv" else pip_program(tool)
    say(f"set-up: installing the locked packages with {tool.name}; the first time takes a while")
    locked = ("--require-hashes", "--only-binary", ":all:", "--requirement", str(LOCK_FILE))
    run((*program, *locked), guard, doing=f"installing {LOCK_FILE.name}")
    project = ("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    run((*program, *project), guard, doing="installing the project")


def pip_program(tool: Tool) -> tuple[str, ...]:
    """The environment's own pip, or the one outside where the environment came without."""
    if succeeds((str(PYTHON), "-I", "-m", "pip", "--version")):
        return (str(PYTHON), "-I", "-m", "pip", "install", "--quiet")
    if succeeds((base_python(), "-m", "pip", "--version")):
        return tool.install
    raise SetUpFailedError(f"{base_python()} has neither ensurepip nor pip.\n{REMEDY}")


def succeeds(command: tuple[str, ...]) -> bool:
    """Whether a command ends with exit code 0; its output goes nowhere."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def run(command: tuple[str, ...], guard: TextIO, *, doing: str) -> None:
    """Runs one command silently, with a word now and then when it takes long.

    The command inherits the guard's lock: while an orphan of a killed set-up still writes,
    nobody else begins. Raises SetUpFailedError with the end of its output when it fails.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(),
                pass_fds=(guard.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise SetUpFailedError(f"{doing}: {command[0]}: {error.strerror}") from error
        code = wait(process, doing)
        if code != 0:
            output.seek(0)
            lines = output.read().splitlines()[-LINES_SHOWN_MAX:]
            raise SetUpFailedError("\n  ".join((f"{doing} (exit code {code}):", *lines)))


def wait(process: subprocess.Popen[bytes], doing: str) -> int:
    """The exit code of a command; says that it is still at work every so often."""
    started = time.monotonic()
    while True:
        try:
            return process.wait(timeout=WORD_AFTER_S)
        except subprocess.TimeoutExpired:
            say(f"set-up: still {doing} ({time.monotonic() - started:.0f} s)")


def environment() -> dict[str, str]:
    """The present environment variables without what would send packages elsewhere."""
    kept = {name: value for name, value in os.environ.items() if is_kept(name)}
    if not cache_is_writable():
        kept["UV_NO_CACHE"] = "1"
    return kept | FIXED


def is_kept(name: str) -> bool:
    """Whether a variable is harmless to an installation into `.venv`."""
    if name.startswith(("PIP_", "UV_")):
        return any(word in name for word in KEPT_WORDS)
    return name not in DROPPED


def cache_is_writable() -> bool:
    """Whether uv can write where it caches; it fails where a read-only home folder forbids it."""
    default = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    place = Path(os.environ.get("UV_CACHE_DIR") or default).expanduser()
    while not place.exists() and place != place.parent:
        place = place.parent
    return os.access(place, os.W_OK)


if __name__ == "__main__":
    sys.exit(main())
