"""Runs PostgreSQL for tests, on loopback, in a folder of its own.

It refuses to run as root, so root starts it as another user, without the environment. A cluster is
created once and can be stopped at once and started again.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.ops.programs import END_SECONDS, START_SECONDS, TOOLS, free_port

NOBODY = 65_534
USER = "postgres"
_LIBRARIES = str(TOOLS / "lib" / "x86_64-linux-gnu")


def find_postgres(name: str) -> str:
    """Return the path of one of PostgreSQL's programs; skip the test if there is none."""
    folders = sorted(
        map(str, (*TOOLS.glob("lib/postgresql/*/bin"), *Path("/usr/lib/postgresql").glob("*/bin"))),
        reverse=True,
    )
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} is not here (deploy/test-tools.sh)")
    return str(Path(found).resolve())


@dataclass
class Postgres:
    """A cluster. `port` stays the same when it is started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None
    _num_databases: int = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "jit": "off",
            "max_connections": 50,
        }
        command = [find_postgres("postgres"), "-D", str(self.folder / "data")]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._as_user())
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"postgres does not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it without waiting for clients, as an outage does."""
        if self._process is None:
            return
        self._process.send_signal(3)  # SIGQUIT: at once
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def create(self) -> None:
        """Create the cluster's files."""
        options = ["--auth=trust", "--no-locale", "--encoding=UTF8", "--no-sync"]
        subprocess.run(
            [find_postgres("initdb"), "-D", str(self.folder / "data"), "-U", USER, *options],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._as_user(),
        )

    def create_database(self) -> str:
        """Create an empty database and return its URL."""
        self._num_databases += 1
        name = f"ledger{self._num_databases}"
        self.run(f"CREATE DATABASE {name}")
        return self.get_url(name)

    def get_url(self, database: str = USER) -> str:
        """Return the URL of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str) -> None:
        """Run a statement outside of a transaction."""
        url = self.get_url().replace("postgresql", "postgresql+psycopg")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except Exception:
            return False
        return True

    def _as_user(self) -> dict[str, Any]:
        """Return the arguments of a process that runs as the owner of the files."""
        environment = {"HOME": str(self.folder), "LD_LIBRARY_PATH": _LIBRARIES, "LC_ALL": "C"}
        arguments: dict[str, Any] = {"env": environment, "cwd": self.folder}
        if os.geteuid() == 0:
            arguments |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        return arguments


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Create and run a cluster; everything of it is gone afterwards."""
    find_postgres("postgres")
    # Not below pytest's folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    postgres = Postgres(folder)
    try:
        postgres.create()
        postgres.start()
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)
