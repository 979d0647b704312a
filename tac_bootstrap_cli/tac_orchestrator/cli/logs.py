"""tac-orch logs"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import click

from tac_orchestrator.cli import lookup
from tac_orchestrator.cli.options import between, command, paged
from tac_orchestrator.cli.output import Column, Line, Screen, print_json_rows
from tac_orchestrator.cli.store import ask
from tac_orchestrator.database import Database
from tac_orchestrator.models import AgentLog, LogLevel, LogType, SystemLog

COLUMNS = (
    Column("ID", "id", spare=2),
    Column("UTC", "clock"),
    Column("LEVEL", "level"),
    Column("TYPE", spare=1),
    Column("AGENT", least=8),
    Column("AGENT_ID", "id", only="pipe"),
    Column("MESSAGE", least=24),
)

SYSTEM_COLUMNS = (
    Column("ID", "id", spare=1),
    Column("UTC", "clock"),
    Column("LEVEL", "level"),
    Column("COMPONENT", least=9),
    Column("MESSAGE", least=24),
)


@command(
    "logs",
    examples=[
        "tac-orch logs --session issue-42 --level ERROR",
        "tac-orch logs --type tool_call --since 2h --json",
        "tac-orch logs --system --component api",
    ],
)
@click.option("--system", is_flag=True, help="The logs that belong to no agent.")
@click.option("--session", metavar="ID", help="Only those of this session.")
@click.option("--agent", metavar="ID", help="Only those of this agent.")
@click.option(
    "--level", "log_level", type=click.Choice(get_args(LogLevel), case_sensitive=False), help="Only those of this level."
)
@click.option("--type", "log_type", type=click.Choice(get_args(LogType)), help="Only those of this type.")
@click.option("--component", metavar="NAME", help="Only those of this component; with --system.")
@between
@paged(click.IntRange(0))
def logs(
    target: str | None,
    as_json: bool,
    system: bool,
    session: str | None,
    agent: str | None,
    log_type: LogType | None,
    component: str | None,
    **page: Any,
) -> None:
    """What agents, or the system, have logged, the newest first."""
    if system and (session or agent or log_type):
        raise click.UsageError("--system has no --session, --agent or --type", click.get_current_context())
    if component and not system:
        raise click.UsageError("--component needs --system", click.get_current_context())

    async def question(database: Database) -> tuple[Sequence[AgentLog | SystemLog], list[Line]]:
        if system:
            found = await database.system_logs.list(component=component, **page)
            return found, [system_line(log) for log in found]
        session_id = await lookup.session_id(database, session)
        agent_id = await lookup.agent_id(database, agent)
        logs = await database.agent_logs.list(session_id=session_id, agent_id=agent_id, log_type=log_type, **page)
        return logs, await agent_lines(lookup.Names(database), logs)

    found, lines = ask(target, question)
    if as_json:
        print_json_rows(found)
        return
    columns = SYSTEM_COLUMNS if system else COLUMNS
    Screen().page(columns, lines, "logs", limit=page["limit"], last=str(found[-1].id) if found else "")


async def agent_lines(names: lookup.Names, logs: Sequence[AgentLog]) -> list[Line]:
    return [agent_line(log, (await names.of(log.agent_id))[0]) for log in logs]


def agent_line(log: AgentLog, name: str) -> Line:
    return Line((log.id, log.created_at, log.log_level, log.log_type, name, log.agent_id, log.message))


def system_line(log: SystemLog) -> Line:
    return Line((log.id, log.created_at, log.log_level, log.component, log.message))
