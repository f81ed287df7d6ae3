"""Where Kafka's jars come from: KAFKA_HOME, or Maven, which copies them into a cache folder once.

Below ops/servers_kafka.py. Never writes into a Maven project and never leaves a half-filled cache
folder under its final name.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from ops.servers_base import CannotStart
from ops.servers_process import wait_until

__all__ = ["jars", "java"]

POM = Path(__file__).resolve().parent / "kafka" / "pom.xml"
JAVA_OLDEST = 17
MAVEN_BOUND_S = 300
LINES_SHOWN = 6
MAVEN_NOISE = re.compile(
    r" -> \[Help 1\]|^\[ERROR\] (\[Help|To see|Re-run|For more).*|^\[ERROR\] *$"
)
JAVA_REMEDY = "install Java 17 or newer (Debian, Ubuntu: apt install openjdk-17-jre-headless)"
MAVEN_REMEDY = (
    "install Maven (Debian, Ubuntu: apt install maven; macOS: brew install maven), "
    "or unpack Apache Kafka 4 and set KAFKA_HOME to its folder"
)
NETWORK_REMEDY = (
    "Maven needs its repository once (a mirror or proxy belongs into its settings.xml); "
    "or unpack Apache Kafka 4 and set KAFKA_HOME to its folder"
)


def java() -> str:
    """The java to run. Raises CannotStart when there is none, or too old a one.

    A name on the PATH proves nothing (macOS puts a stub there): only running it does.
    """
    home = os.environ.get("JAVA_HOME")
    inside = [str(Path(home) / "bin" / "java")] if home else []
    seen = ""
    for name in (*inside, "java"):
        version = _java_version(name)
        if version is not None and version >= JAVA_OLDEST:
            return shutil.which(name) or name
        if version is not None:
            seen = f"; {name} is version {version}"
    raise CannotStart("kafka", f"no Java {JAVA_OLDEST} or newer was found{seen}", JAVA_REMEDY)


def _java_version(name: str) -> int | None:
    try:
        done = subprocess.run(
            (name, "-version"), capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(found.group(1)) if done.returncode == 0 and found else None


def jars(cancelled: Callable[[], bool] = lambda: False) -> Path:
    """The folder with the broker's jars. Raises CannotStart. Only the first time takes a while."""
    if home := os.environ.get("KAFKA_HOME"):
        libraries = Path(home) / "libs"
        if any(libraries.glob("kafka_*.jar")):
            return libraries
        raise CannotStart(
            "kafka", f"KAFKA_HOME is {home}, which holds no libs/kafka_*.jar", "set or unset it"
        )
    try:
        return _cached(cancelled)
    except OSError as error:
        raise CannotStart("kafka", f"the jars' cache: {error}", "set XDG_CACHE_HOME") from error


def _cached(cancelled: Callable[[], bool]) -> Path:
    """One folder for each content of the pom; whoever comes second waits for the first."""
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    parent = _cache_folder()
    folder = parent / f"kafka-{digest}"
    if folder.is_dir():
        return folder
    with (parent / f"kafka-{digest}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=parent, prefix="unfinished-") as fresh:
                _copy(Path(fresh) / "jars", cancelled)
                (Path(fresh) / "jars").rename(folder)
    return folder


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    parent = (Path(base) if base else Path.home() / ".cache") / "coordination-engine"
    parent.mkdir(parents=True, exist_ok=True)
    return parent


def _copy(folder: Path, cancelled: Callable[[], bool]) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotStart("kafka", "there is neither a KAFKA_HOME nor Maven", MAVEN_REMEDY)
    command = (maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies")
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        child = subprocess.Popen(
            (*command, f"-DoutputDirectory={folder}", "-DincludeScope=runtime"),
            cwd=folder.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            ended = wait_until(
                lambda: child.poll() is not None, bound_s=MAVEN_BOUND_S, stop=cancelled
            )
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
        output.seek(0)
        lines = _telling(output.read())
    if not ended:
        reason = "interrupted" if cancelled() else f"Maven took more than {MAVEN_BOUND_S} s"
        raise CannotStart("kafka", reason, NETWORK_REMEDY, lines)
    if child.returncode != 0 or not any(folder.glob("kafka_*.jar")):
        raise CannotStart("kafka", "Maven could not fetch its jars", NETWORK_REMEDY, lines)


def _telling(output: str) -> list[str]:
    """The first lines that say something: Maven's later ones tell how to ask Maven."""
    plain = (re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in output.splitlines())
    lines = (MAVEN_NOISE.sub("", line) for line in plain)
    return [line for line in lines if line][:LINES_SHOWN]
