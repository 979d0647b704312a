"""tac-orch sessions"""

from __future__ import annotations

from datetime import datetime
from typing import get_args

import click

from tac_orchestrator.cli import lookup
from tac_orchestrator.cli.options import between, command, paged
from tac_orchestrator.cli.output import Column, Line, Screen, print_json_rows
from tac_orchestrator.cli.store import ask
from tac_orchestrator.cli.times import seconds_between
from tac_orchestrator.database import Database
from tac_orchestrator.models import Session, SessionStatus

_COLUMNS = (
    Column("SESSION", least=14),
    Column("STATUS", "state"),
    Column("STARTED", "ago"),
    Column("TOOK", "span", spare=5),
    Column("AGENTS", "count", spare=4),
    Column("PROMPTS", "count"),
    Column("INPUT", "tokens", spare=1),
    Column("OUTPUT", "tokens", spare=2),
    Column("COST", "money"),
    Column("UNPRICED", "count", spare=3),
)


@command("sessions", examples=["tac-orch sessions --since 7d", "tac-orch sessions --status failed --json"])
@click.option("--status", type=click.Choice(get_args(SessionStatus)), help="Only those in this state.")
@between
@paged()
def sessions(
    target: str | None,
    as_json: bool,
    status: SessionStatus | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    before: str | None,
) -> None:
    """Workflows, the newest first, with their totals.

    COST is what is known; UNPRICED is how many answered prompts it lacks.
    """

    async def question(database: Database) -> list[Session]:
        last = await lookup.session_id(database, before)
        return await database.sessions.list(status=status, since=since, until=until, limit=limit, before=last)

    found = ask(target, question)
    if as_json:
        print_json_rows(found)
        return
    screen = Screen()
    lines = [_line(session, screen.now) for session in found]
    screen.page(_COLUMNS, lines, "sessions", limit=limit, last=found[-1].session_id if found else "")


def _line(session: Session, now: datetime) -> Line:
    end = now if session.status == "running" else session.last_activity_at
    return Line(
        (
            session.session_id,
            session.status,
            session.started_at,
            seconds_between(session.started_at, end),
            session.agent_count,
            session.prompt_count,
            session.tokens_input,
            session.tokens_output,
            session.cost_usd,
            session.unpriced_count,
        )
    )
