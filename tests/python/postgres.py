"""A PostgreSQL of a test's own, on a Unix socket in a folder that goes away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sign_in import until

if TYPE_CHECKING:
    from collections.abc import Generator

#: Who runs the server if this is root: it refuses to run as root.
USER = "nobody"
#: No port, and no waiting for the disk: only a crash of the machine would show that.
SETTINGS = ("-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB")


@contextmanager
def running() -> Generator[str]:
    """A server with an empty database until the end of the block: its URL, for its owner."""
    _skip_if_denied()
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, USER)
        data = Path(folder, "data")
        made = ("--no-sync", "--no-locale", "--encoding=UTF8", "--auth=trust", "--username=owner")
        subprocess.run(
            [*_program("initdb"), *made, "--pgdata", data],
            cwd="/",
            stdout=subprocess.DEVNULL,
            check=True,
        )
        with Path(folder, "log").open("w") as log:
            server = subprocess.Popen(
                [*_program("postgres"), "-D", data, "-k", folder, *SETTINGS],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        with server:
            try:
                until(lambda: server.poll() is not None or _is_ready(data))
                assert server.poll() is None, Path(folder, "log").read_text()
                yield f"postgres:///postgres?host={folder}&user=owner"
            finally:
                server.send_signal(signal.SIGQUIT)


def _is_ready(data: Path) -> bool:
    """Whether the last line of the server's file says so."""
    file = data / "postmaster.pid"
    return file.exists() and file.read_text().rstrip().endswith("ready")


def _skip_if_denied() -> None:
    command = [*_program("postgres"), "--version"]
    works = shutil.which("setpriv") and subprocess.run(
        command, cwd="/", capture_output=True, check=False
    )
    if not works or works.returncode != 0:
        assert os.environ.get("CI") != "true", "PostgreSQL does not work"
        pytest.skip("install postgresql and setpriv (util-linux)")


def _program(name: str) -> list[str]:
    """The command of one of PostgreSQL's programs, as an ordinary user, which ends with this."""
    command = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        command += ["--reuid", USER, "--regid", "nogroup", "--clear-groups"]
    # Debian has each version in a folder of its own, which is not in PATH.
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=name)
    return [*command, str(newest)]
