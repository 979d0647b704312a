"""tac-orch prompts"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import get_args

import click

from tac_orchestrator.cli import lookup
from tac_orchestrator.cli.options import between, command, paged
from tac_orchestrator.cli.output import Column, Line, Screen, print_json_rows, short_ids
from tac_orchestrator.cli.store import ask
from tac_orchestrator.database import Database
from tac_orchestrator.models import Prompt, PromptStatus, PromptType

COLUMNS = (
    Column("ID", "id", only="terminal"),
    Column("ID", "id", only="pipe"),
    Column("ASKED", "ago"),
    Column("AGENT", least=8, spare=6),
    Column("TYPE", spare=5),
    Column("NAME", least=8, spare=4),
    Column("STATUS", "state"),
    Column("MODEL", least=12, spare=3),
    Column("INPUT", "tokens", spare=1),
    Column("OUTPUT", "tokens", spare=2),
    Column("COST", "money"),
    Column("TOOK", "span", spare=7),
    Column("TEXT", least=16),
)

_TEXT = 200
"""Signs of a prompt that a list shows."""


@command(
    "prompts",
    examples=[
        "tac-orch prompts --session issue-42",
        "tac-orch prompts --status failed --since 2h",
        "tac-orch prompts --model claude-sonnet-4-5 --json",
    ],
)
@click.option("--session", metavar="ID", help="Only those of this session.")
@click.option("--agent", metavar="ID", help="Only those of this agent.")
@click.option("--status", type=click.Choice(get_args(PromptStatus)), help="Only those in this state.")
@click.option("--type", "prompt_type", type=click.Choice(get_args(PromptType)), help="Only those of this type.")
@click.option("--model", metavar="NAME", help="Only those to this model.")
@between
@paged()
def prompts(
    target: str | None,
    as_json: bool,
    session: str | None,
    agent: str | None,
    status: PromptStatus | None,
    prompt_type: PromptType | None,
    model: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    before: str | None,
) -> None:
    """Requests to models, the newest first."""

    async def question(database: Database) -> tuple[list[Prompt], list[str]]:
        found = await database.prompts.list(
            session_id=await lookup.session_id(database, session),
            agent_id=await lookup.agent_id(database, agent),
            status=status,
            prompt_type=prompt_type,
            model_used=model,
            since=since,
            until=until,
            limit=limit,
            before=await lookup.prompt_id(database, before),
            brief=not as_json,
        )
        names = lookup.Names(database)
        return found, [(await names.of(prompt.agent_id))[0] for prompt in found]

    found, names = ask(target, question)
    if as_json:
        print_json_rows(found)
    else:
        Screen().page(COLUMNS, lines_of(found, names), "prompts", limit=limit, last=found[-1].id if found else "")


def lines_of(prompts: Sequence[Prompt], names: Sequence[str]) -> list[Line]:
    shorts = short_ids([prompt.id for prompt in prompts])
    return [_line(prompt, short, name) for prompt, short, name in zip(prompts, shorts, names, strict=True)]


def _line(prompt: Prompt, short: str, agent_name: str) -> Line:
    took = prompt.latency_ms / 1000 if isinstance(prompt.latency_ms, int) else None
    return Line(
        (
            short,
            prompt.id,
            prompt.created_at,
            agent_name,
            prompt.prompt_type,
            prompt.prompt_name,
            prompt.status,
            prompt.model_used,
            prompt.tokens_input,
            prompt.tokens_output,
            prompt.cost_usd,
            took,
            f"{prompt.prompt_text[:_TEXT]}{'…' * (len(prompt.prompt_text) > _TEXT)}",
        )
    )
