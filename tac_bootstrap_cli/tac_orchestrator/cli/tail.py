"""tac-orch tail"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import get_args

import click

from tac_orchestrator.cli import lookup
from tac_orchestrator.cli.endless import while_somebody_reads
from tac_orchestrator.cli.formats import color_of, human, plain
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.options import command, limit_option
from tac_orchestrator.cli.output import Screen, padded, print_json_line, print_json_rows
from tac_orchestrator.cli.store import ask
from tac_orchestrator.database import Database
from tac_orchestrator.errors import NotFound
from tac_orchestrator.models import AgentLog, Change, LogLevel, LogType, SystemLog

Log = AgentLog | SystemLog
IsPast = Callable[[Change, Log], bool]


@command(
    "tail",
    examples=["tac-orch tail -f", "tac-orch tail -n 50 --session issue-42", "tac-orch tail -f --level ERROR --json"],
)
@click.option("-f", "--follow", is_flag=True, help="Go on with every new one, until interrupted.")
@click.option("--session", metavar="ID", help="Only those of this session.")
@click.option("--agent", metavar="ID", help="Only those of this agent.")
@click.option(
    "--level", "log_level", type=click.Choice(get_args(LogLevel), case_sensitive=False), help="Only those of this level."
)
@click.option("--type", "log_type", type=click.Choice(get_args(LogType)), help="Only those of this type.")
@limit_option(10, "-n")
def tail(
    target: str | None,
    as_json: bool,
    follow: bool,
    session: str | None,
    agent: str | None,
    log_level: LogLevel | None,
    log_type: LogType | None,
    limit: int,
) -> None:
    """The last logs, and with -f every new one of any process.

    The oldest come first. Those of the system are among them unless a session, an agent or a type is asked for. With -f, --json
    prints an object a line.
    """

    async def question(database: Database) -> None:
        feed = _Feed(
            database,
            session_id=await lookup.session_id(database, session),
            agent_id=await lookup.agent_id(database, agent),
            log_level=log_level,
            log_type=log_type,
        )
        printer = _Printer(feed.names, as_json)
        if follow:
            await while_somebody_reads(_follow(database, feed, limit, printer))
        elif as_json:
            print_json_rows(await feed.last(limit))
        else:
            for log in await feed.last(limit):
                await printer.print(log)

    ask(target, question)


async def _follow(database: Database, feed: _Feed, limit: int, printer: _Printer) -> None:
    """The last ones, and then what comes behind the position that was there before they were looked up."""
    position = await database.changes.last()
    last = await feed.last(limit)
    is_past = _past(last, limit, database.changes.seen_at(await database.changes.last()))
    for log in last:
        await printer.print(log)
    shown = {(type(log), log.id) for log in last}
    async for change, log in feed.after(position):
        if (type(log), log.id) not in shown and not is_past(change, log):
            await printer.print(log)


def _past(last: list[Log], limit: int, was_there: Callable[[Change], bool]) -> IsPast:
    """Whether a log is older than the last ones, and was there when they were looked up: not one of them, and not a new one."""
    if len(last) < limit:
        return lambda _change, _log: False
    return lambda change, log: was_there(change) and _order(log) < _order(last[0])


def _order(log: Log) -> tuple[str, int]:
    return str(log.created_at), log.id or 0


class _Feed:
    """The logs that are wanted. Those of the system have no session, agent or type."""

    def __init__(
        self,
        database: Database,
        *,
        session_id: str | None,
        agent_id: str | None,
        log_level: LogLevel | None,
        log_type: LogType | None,
    ) -> None:
        self.names = lookup.Names(database)
        self._database = database
        self._session_id = session_id
        self._agent_id = agent_id
        self._log_level: LogLevel | None = log_level
        self._log_type: LogType | None = log_type
        self._has_system = session_id is None and agent_id is None and log_type is None

    async def last(self, limit: int) -> list[Log]:
        """The oldest first."""
        found: list[Log] = [
            *await self._database.agent_logs.list(
                session_id=self._session_id,
                agent_id=self._agent_id,
                log_level=self._log_level,
                log_type=self._log_type,
                limit=limit,
            )
        ]
        if self._has_system:
            found += await self._database.system_logs.list(log_level=self._log_level, limit=limit)
        return sorted(found, key=_order)[-limit:]

    async def after(self, position: str) -> AsyncIterator[tuple[Change, Log]]:
        async for change in self._database.changes.follow(position):
            if change.operation == "insert" and (log := await self._read(change)) is not None:
                yield change, log

    async def _read(self, change: Change) -> Log | None:
        """The new log, if it is wanted and still there."""
        with suppress(NotFound):
            if change.entity == "agent_log":
                log = await self._database.agent_logs.get(change.row_id)
                return log if await self._wants(log) else None
            if change.entity == "system_log" and self._has_system:
                system_log = await self._database.system_logs.get(change.row_id)
                return system_log if self._log_level in {None, system_log.log_level} else None
        return None

    async def _wants(self, log: AgentLog) -> bool:
        return (
            self._agent_id in {None, log.agent_id}
            and self._log_level in {None, log.log_level}
            and self._log_type in {None, log.log_type}
            and (self._session_id is None or (await self.names.of(log.agent_id))[1] == self._session_id)
        )


class _Printer:
    """A line a log, at once."""

    def __init__(self, names: lookup.Names, as_json: bool) -> None:
        self._names = names
        self._as_json = as_json
        self._screen = Screen()

    async def print(self, log: Log) -> None:
        if self._as_json:
            print_json_line(log)
        else:
            self._screen.line(await self._text(log))
        sys.stdout.flush()

    async def _text(self, log: Log) -> str:
        if isinstance(log, AgentLog):
            name, session = await self._names.of(log.agent_id)
            kind = log.log_type
        else:
            name, session, kind = log.component, None, "system"
        level = self._screen.styled(f"{plain(log.log_level):8}", fg=color_of(log.log_level, "level"))
        if self._screen.is_terminal:
            time = human(log.created_at, "clock", datetime.now(UTC))
            return "  ".join((time, level, padded(plain(session), 14), padded(plain(name), 14), visible(log.message)))
        places = f"{plain(session):14}  {plain(name):14}  {plain(kind):12}"
        return "  ".join((plain(log.created_at), level, places, visible(log.message)))
