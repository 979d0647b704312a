"""The store: open it, and its tables are its attributes."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, ParamSpec, Self, TypeVar
from urllib.parse import urlsplit

from tac_orchestrator.engines.base import Engine, Outcome, RawRow, Statement
from tac_orchestrator.engines.sqlite import SqliteEngine
from tac_orchestrator.errors import DatabaseUnavailable, InvalidRecord, InvalidSetting, OrchestratorError
from tac_orchestrator.migrations import prepare
from tac_orchestrator.models import AgentType, Lease
from tac_orchestrator.redaction import redactor
from tac_orchestrator.runs import Recorder, RunnableAgents
from tac_orchestrator.settings import DATABASE_VARIABLE, READ_DATABASE_VARIABLE, Settings
from tac_orchestrator.tables.agent_logs import AgentLogs
from tac_orchestrator.tables.agents import Agents
from tac_orchestrator.tables.base import Sink
from tac_orchestrator.tables.changes import Changes
from tac_orchestrator.tables.feed import Feed
from tac_orchestrator.tables.leases import PULSE_S, Leases
from tac_orchestrator.tables.orchestrator_agents import OrchestratorAgents
from tac_orchestrator.tables.prompts import Prompts
from tac_orchestrator.tables.search import Search
from tac_orchestrator.tables.sessions import Sessions
from tac_orchestrator.tables.sources import Sources
from tac_orchestrator.tables.spans import Spans
from tac_orchestrator.tables.system_logs import SystemLogs
from tac_orchestrator.tables.usage import Usages
from tac_orchestrator.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")

_LOG = logging.getLogger("tac_orchestrator")


class Transaction:
    """The tables that a transaction can write to."""

    def __init__(self, engine: Engine, sink: Sink) -> None:
        self.orchestrator_agents = OrchestratorAgents(engine, sink)
        self.agents = Agents(engine, sink)
        self.prompts = Prompts(engine, sink)
        self.agent_logs = AgentLogs(engine, sink)
        self.system_logs = SystemLogs(engine, sink)
        self.sources = Sources(engine, sink)
        self.spans = Spans(engine, sink)


class Writing(NamedTuple):
    """Commits and the rows in them; rounds of writes and posted logs that wait; posted logs that were lost, and why."""

    commits: int
    rows: int
    waiting_rounds: int
    waiting_posts: int
    dropped: int
    failed: int


class Database:
    """The store of one project. Use it in an `async with` block, in one event loop; it may be entered again after its end.

    `forgiving` is for programs to which their work matters more than its record: whatever a run or a request writes, no error
    of the store reaches them. Reading raises in any case.
    """

    def __init__(self, settings: Settings, *, create: bool = True, forgiving: bool = False) -> None:
        self.settings = settings
        self._engine = _engine(settings)
        self._create = create
        self._forgiving = forgiving
        self._writer = Writer(
            self._engine,
            redactor=redactor() if settings.redact else None,
            queue_size=settings.queue_size,
            upkeep=lambda: self.changes.trim(),
        )
        self._lease: Lease | None = None
        self._leasing = asyncio.Lock()
        self.orchestrator_agents = OrchestratorAgents(self._engine, self._writer)
        self.agents = RunnableAgents(self._engine, self._writer)
        self.prompts = Prompts(self._engine, self._writer)
        self.agent_logs = AgentLogs(self._engine, self._writer)
        self.system_logs = SystemLogs(self._engine, self._writer)
        self.sessions = Sessions(self._engine, self._writer)
        self.usage = Usages(self._engine, self._writer)
        self.search = Search(self._engine, self._writer)
        self.changes = Changes(self._engine, self._writer)
        self.feed = Feed(self._engine)
        self.leases = Leases(self._engine, self._writer)
        self.sources = Sources(self._engine, self._writer)
        self.spans = Spans(self._engine, self._writer)
        self.agents.leases = self.leases
        self.agents.settings = settings
        self.agents.recorder = Recorder(
            self.orchestrator_agents, self.agents, self.prompts, self.agent_logs, self._hold_lease, forgiving
        )

    @classmethod
    def open(cls, target: str | Path | None = None, *, create: bool = True, forgiving: bool = False) -> Self:
        """The store in this file, or where TAC_ORCHESTRATOR_DB says, or in the project's `adws/schema/orchestrator.db`.

        It is made on first use, unless `create` says otherwise. Nothing happens before the `async with` block begins.
        """
        if not (target is None or isinstance(target, (str, Path))):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidSetting("target", target, _TARGETS)
        settings = Settings.from_environment()
        return cls(settings if target is None else settings.at(target), create=create, forgiving=forgiving)

    @property
    def target(self) -> str:
        """Where the store is."""
        return self._engine.target

    @property
    def engine(self) -> Engine:
        """The database itself, for its upkeep. Rows are read and written through the tables."""
        return self._engine

    @property
    def dropped(self) -> int:
        """How many logs that nobody waited for could not be kept."""
        return self._writer.dropped + self._writer.failed

    @property
    def writing(self) -> Writing:
        """What has become of the writes of this process."""
        writer = self._writer
        return Writing(writer.commits, writer.rows, *writer.waiting, writer.dropped, writer.failed)

    async def connect(self) -> Self:
        """What entering the block does. Raises SchemaError and DatabaseUnavailable, unless the store is forgiving."""
        try:
            await asyncio.to_thread(prepare, self._engine, create=self._create)
            self._writer.open()
        except OrchestratorError as error:
            if not self._forgiving:
                raise
            _LOG.warning("nothing will be recorded: %s", error)
            self._writer.refuse(error)
        return self

    async def close(self) -> None:
        """Commit what was posted, and let go of the file. Safe to call twice; `connect` opens it again."""
        if self._writer.has_written:
            await self._say_goodbye()
        await self._engine.close()
        await self._writer.close()  # last, so that SQLite tidies up behind the writer
        self._lease, self._leasing = None, asyncio.Lock()

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def flush(self) -> None:
        """Returns once every log that nobody waited for is stored."""
        await self._writer.flush()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Tables whose writes are committed together when the block ends, and not at all if an exception leaves it.

        Nothing is written, and nobody waits, before that. What the block reads is therefore what was there when it began, and
        is read where it is written, not from a replica: who decides by it what to write has to know it all.
        """
        pending = _Pending(self.target)
        try:
            yield Transaction(self._engine.undelayed, pending)
        finally:
            pending.has_ended = True
        if pending.statements:
            await self._writer.write(pending.statements)

    def recorded(
        self, name: str, *, agent_type: AgentType = "utility", session_id: str | None = None
    ) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, T]]]:
        """A decorator: each call of the function is a run of the agent `name`. One that is called by another is its child."""

        def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
            if is_unfinished(function):
                hint = "In a generator, use `async with db.agents.run(…)`."
                raise InvalidRecord("agent", "it works after it has returned", field="function", value=function, hint=hint)

            @wraps(function)
            async def call(*args: P.args, **kwargs: P.kwargs) -> T:
                register = self.orchestrator_agents.register(name, agent_type=agent_type)
                await self.agents.recorder.attempt(register)
                async with self.agents.run(name, session_id=session_id):
                    return await function(*args, **kwargs)

            return call

        return decorate

    async def query(self, sql: str, **values: Any) -> list[RawRow]:
        """Any SQL that only reads, with `:named` values. Rows are given as the database keeps them.

        Raises InvalidRecord for SQL that is wrong, and DatabaseReadOnly for SQL that writes.
        """
        if not isinstance(sql, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRecord("query", "it takes SQL, as a text", field="sql", value=sql)
        return await self._engine.query(sql, values)

    async def commit(self, *statements: Statement) -> Sequence[Outcome]:
        """Have statements committed together or not at all."""
        return await self._writer.write(list(statements))

    def post(self, *statements: Statement) -> None:
        """Have each of these committed some time soon, from any thread. Never raises and never waits, see `dropped`."""
        for statement in statements:
            self._writer.post(partial(_given, statement))

    async def raw_connection(self) -> Any:
        """A connection of the driver's own, for SQL of your own. Close it before the store."""
        return await self._engine.raw_connection()

    def __reduce__(self) -> NoReturn:
        raise unsendable(self.target)

    async def _hold_lease(self) -> Lease:
        async with self._leasing:
            if self._lease is None:
                lease = await self.leases.acquire()
                self._writer.pulse_every(PULSE_S, lambda: self.leases.pulse(lease))
                self._lease = lease
        return self._lease

    async def _say_goodbye(self) -> None:
        statements = [self.changes.trim()]
        if self._lease is not None:
            statements.append(self.leases.release(self._lease))
        try:
            await self._writer.write(statements)
        except OrchestratorError as error:
            _LOG.warning("%s", error)


class _Pending:
    """The statements of a transaction, until it ends. Nobody would commit what came later."""

    def __init__(self, target: str) -> None:
        self.statements = list[Statement]()
        self.has_ended = False
        self._target = target

    async def write(self, statements: list[Statement]) -> Sequence[Outcome]:
        if self.has_ended:
            raise DatabaseUnavailable(self._target, "this transaction has ended", hint="Write within its block.")
        self.statements += statements
        return [Outcome() for _ in statements]

    async def write_bulk(self, statement: Statement) -> Awaitable[Sequence[Outcome]]:
        return self.write([statement])

    def post(self, make: Callable[[], Statement]) -> None:
        if self.has_ended:
            _LOG.warning("a log was refused: its transaction has ended")
        else:
            self.statements.append(make())


def unsendable(target: str) -> DatabaseUnavailable:
    """What a store says that is to be pickled or copied."""
    hint = "Send its path, or the id of a row, and open the store there."
    return DatabaseUnavailable(target, "an open store cannot be sent to another process", hint=hint)


def is_unfinished(function: Callable[..., Any]) -> bool:
    """Whether what it does is yet to be done when it has returned, and it cannot be awaited."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


_POSTGRES = ("postgresql", "postgres")
_TARGETS = "the path of a file, or the address of a database of PostgreSQL"


def _without_secrets(address: str) -> str:
    """As much of it as may be shown, whatever it is."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{urlsplit(address).hostname}" if rest else address


def _given(statement: Statement) -> Statement:
    return statement


def _engine(settings: Settings) -> Engine:
    scheme = settings.database.partition("://")[0] if "://" in settings.database else ""
    if scheme in _POSTGRES:
        return _postgres(settings)
    if settings.read_database is not None:
        shown = _without_secrets(settings.read_database)
        raise InvalidSetting(READ_DATABASE_VARIABLE, shown, f"nothing while {DATABASE_VARIABLE} is no address of PostgreSQL")
    if scheme:
        raise DatabaseUnavailable(
            f"{scheme}://{urlsplit(settings.database).hostname}",
            "a store is a file, or a database of PostgreSQL",
            hint="Set TAC_ORCHESTRATOR_DB to a path, or to postgresql://….",
        )
    if settings.database == ":memory:" or not _can_name_a_file(settings.database):
        raise InvalidSetting(DATABASE_VARIABLE, settings.database, "the path of a file")
    return SqliteEngine(Path(settings.database).expanduser(), settings)


def _can_name_a_file(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _postgres(settings: Settings) -> Engine:
    """Its driver is an extra, which not everybody has."""
    replica = settings.read_database
    if replica is not None and replica.partition("://")[0] not in _POSTGRES:
        raise InvalidSetting(READ_DATABASE_VARIABLE, _without_secrets(replica), "the address of a replica, postgresql://…")
    try:
        from tac_orchestrator.engines.postgres import PostgresEngine
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        host = urlsplit(settings.database).hostname
        raise DatabaseUnavailable(
            f"postgresql://{host}",
            "the driver for PostgreSQL is not installed",
            hint="pip install 'tac-orchestrator[postgres]'",
        ) from error
    return PostgresEngine(settings.database, settings)
