"""Ends the servers of a folder when the process that wanted them is gone, however it went.

Beside the integration tests: a test run that is killed runs no clean-up of its own, and a broker
that nobody ends would stay for good. Never touches servers of another folder, nor any while the
owner lives.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from ops.servers_base import Record
from ops.servers_process import Owned, kill

__all__ = ["end_all", "main", "watch"]

POLL_S = 1.0
ROOT = Path(__file__).resolve().parent.parent


def watch(folder: Path, owner: Owned) -> None:
    """Starts a watcher of a folder in the background; it ends with the folder or the owner."""
    child = subprocess.Popen(
        (sys.executable, "-m", __spec__.name, str(folder), str(owner.pid), owner.born),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    child.returncode = 0  # It outlives us on purpose; nobody waits for it.


def main(folder: Path, owner: Owned) -> None:
    """Waits for the owner's end, then ends every server of the folder."""
    while folder.exists():
        if not owner.alive:
            end_all(folder)
            return
        time.sleep(POLL_S)


def end_all(folder: Path) -> None:
    """Kills the servers below a folder and deletes it with all they left elsewhere."""
    for path in sorted(folder.rglob("server.json")):
        record = Record.read(path)
        if record is None:
            continue
        kill(record.process)
        if elsewhere := record.facts.get("elsewhere"):
            shutil.rmtree(elsewhere, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Owned(pid=int(sys.argv[2]), born=sys.argv[3]))
