"""tac-orch cost"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import cast

import click
from click.core import ParameterSource

from tac_orchestrator.cli.explanation import explain, show_explanation
from tac_orchestrator.cli.options import MAX_LIMIT, between, command, limit_option
from tac_orchestrator.cli.output import Column, Line, Screen, print_json_rows
from tac_orchestrator.cli.store import ask
from tac_orchestrator.models import Usage
from tac_orchestrator.tables.usage import Group

_GROUPS = ("model", "day", "agent-type", "session")


@command(
    "cost",
    examples=["tac-orch cost --by model", "tac-orch cost --by day --since 7d", "tac-orch cost --by session --json"],
)
@click.option("--by", type=click.Choice(_GROUPS), default="model", show_default=True, help="What to add up.")
@click.option("--explain", "session", metavar="SESSION", help="Each request of this session: what it cost, and why.")
@between
@limit_option(50)
def cost(
    target: str | None, as_json: bool, by: str, session: str | None, since: datetime | None, until: datetime | None, limit: int
) -> None:
    """Tokens and cost by model, day, type of agent or session.

    The dearest come first; days, the newest. Whole UTC days count, those of --since and --until included; sessions count by
    the day on which they began. COST is what is known; UNPRICED is how many answered prompts it lacks. The total is that of
    all rows, also of those beyond --limit. INPUT includes CACHED.

    --explain shows all requests of a session, the first one first. INPUT includes what was read from the cache and what was
    written to it for five minutes and for an hour. SOURCE is where the cost comes from, BASIS by whom or by which price, or why
    it is unknown.
    """
    if session is not None:
        _refuse_unheeded()
        show_explanation(ask(target, lambda database: explain(database, session)), as_json=as_json)
        return
    group = cast(Group, by.replace("-", "_"))
    rows = ask(target, lambda database: database.usage.by(group, since=since, until=until, limit=MAX_LIMIT))
    if as_json:
        print_json_rows({**dict(row), "group": row.group or None} for row in rows[:limit])
    elif rows:
        _show(Screen(), by, rows, limit)
    else:
        click.echo("No cost yet.", err=True)


def _refuse_unheeded() -> None:
    """Whoever asks for a day of a session is not to take all of it for that day."""
    context = click.get_current_context()
    given = [
        name for name in ("by", "since", "until", "limit") if context.get_parameter_source(name) == ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"--explain shows all requests of a session, whatever --{given[0]} says: leave it out.", context)


def _show(screen: Screen, by: str, rows: Sequence[Usage], limit: int) -> None:
    columns = (
        Column(by.upper().replace("-", " "), least=16),
        Column("PROMPTS", "count"),
        Column("FAILED", "count", spare=2),
        Column("INPUT", "tokens"),
        Column("CACHED", "tokens", spare=3),
        Column("OUTPUT", "tokens"),
        Column("COST", "money"),
        Column("UNPRICED", "count", spare=1),
    )
    screen.table(columns, [*(_line(row) for row in rows[:limit]), _total(rows)])
    if len(rows) > limit:
        screen.hint(f"{len(rows) - limit} more: --limit {len(rows)}")


def _line(row: Usage) -> Line:
    return Line(
        (
            row.group or "(unknown)",
            row.prompt_count,
            row.prompt_failed_count,
            row.tokens_input,
            row.tokens_cache_read,
            row.tokens_output,
            row.cost_usd,
            row.unpriced_count,
        )
    )


def _total(rows: Sequence[Usage]) -> Line:
    known = [row.cost_usd for row in rows if row.cost_usd is not None]
    return Line(
        (
            "total",
            sum(row.prompt_count for row in rows),
            sum(row.prompt_failed_count for row in rows),
            sum(row.tokens_input for row in rows),
            sum(row.tokens_cache_read for row in rows),
            sum(row.tokens_output for row in rows),
            sum(known, Decimal(0)) if known else None,
            sum(row.unpriced_count for row in rows),
        ),
        strong=True,
    )
