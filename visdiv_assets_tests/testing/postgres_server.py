"""A PostgreSQL server on loopback, for tests of Dagster's state in it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def server_programs() -> Path | None:
    """The folder of `initdb` and `postgres`; None where no server is installed."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


PROGRAMS = server_programs()

needs_postgres = pytest.mark.skipif(PROGRAMS is None, reason="there is no PostgreSQL server on this machine")


@contextmanager
def postgres_server() -> Iterator[dict[str, str]]:
    """A fresh server, in a temporary folder, which ends with the block; the variables of docs/postgres/dagster.yaml."""
    assert PROGRAMS is not None
    # The server refuses to run as root, and whoever runs it has to reach the folder.
    user = None
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = next(name for name in ("postgres", "nobody") if name in names)
    folder = Path(tempfile.mkdtemp(prefix="visdiv-postgres-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    password = folder / "password"
    password.write_text("secret of the test\n")
    if user:
        for path in (folder, password):
            shutil.chown(path, user)
    initdb = [str(PROGRAMS / "initdb"), "-D", str(folder / "data"), "-U", "dagster", "--auth=scram-sha-256"]
    subprocess.run([*initdb, f"--pwfile={password}"], user=user, check=True, cwd=folder, capture_output=True)
    options = ("listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder}", "fsync=off")
    server = subprocess.Popen(
        [
            str(PROGRAMS / "postgres"),
            "-D",
            str(folder / "data"),
            *(word for option in options for word in ("-c", option)),
        ],
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        assert any("ready to accept connections" in line for line in iter(server.stderr.readline, ""))
        yield {
            "DAGSTER_PG_USERNAME": "dagster",
            "DAGSTER_PG_PASSWORD": "secret of the test",
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(port),
            "DAGSTER_PG_DB": "postgres",
        }
    finally:
        server.terminate()
        server.communicate(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
