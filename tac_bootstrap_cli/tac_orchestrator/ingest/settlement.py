"""Accounts for what a process of Claude Code has cost, where its requests do not say so one by one.

A stream tells the cost of the whole process, but not of each request. What the requests do not account for becomes a row of its
own, which shrinks as other sources tell more, and goes when nothing is left. So no cent is missing, and none is counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tac_orchestrator.database import Database
from tac_orchestrator.ingest.identity import row_id
from tac_orchestrator.ingest.turns import Turns, in_turn
from tac_orchestrator.models import Agent, eight_places
from tac_orchestrator.tables.base import MAX_PAGE
from tac_orchestrator.tables.sources import Batch, Values

UNITEMISED = "unitemised"
"""The name of the prompt that stands for the rest."""

# Less than this is rounding, in our sum or in theirs.
_ROUNDING = Decimal("0.0000005")


async def settle_reported(database: Database, main_ids: Iterable[str]) -> None:
    """The same for those of these sessions whose process has reported something."""
    for key, row in (await database.sources.known_agents(main_ids)).items():
        context: Values = row["context"] or {}
        if context.get("reported"):
            await settle(database, key)


async def settle(database: Database, main_id: str) -> None:
    """Make the rest of a session right, whose own agent has this id. What the process reported is in that agent's context."""
    session = ((await database.agents.get(main_id)).context or {}).get("claude_session")
    await in_turn(database, [session] if isinstance(session, str) else [], lambda turns: _settle(database, main_id, turns))


async def _settle(database: Database, main_id: str, turns: Turns) -> None:
    main = await database.agents.get(main_id)
    reported: Values = (main.context or {}).get("reported") or {}
    key = row_id("cc", "rest", main.id)
    known = (await database.sources.known_prompts([key])).get(key)
    rest = await _rest(database, main, key, reported) if isinstance(reported.get("total_cost_usd"), (int, float)) else {}
    if rest:
        if known is None or any(known[name] != value for name, value in rest.items()):
            async with database.transaction() as transaction:
                await transaction.spans.take_turns(turns)
                await transaction.sources.save(Batch(prompts=[{**_row(main, key), **rest}]), {})
    elif known is not None:
        async with database.transaction() as transaction:
            await transaction.spans.take_turns(turns)
            await transaction.prompts.delete(key)


async def _rest(database: Database, main: Agent, key: str, reported: Values) -> Values:
    """Cost and tokens that the requests do not account for; nothing, once all that are known have a cost."""
    session: Any = (main.context or {}).get("claude_session")
    async with database.transaction() as undelayed:
        agents = await undelayed.agents.list(session_id=main.session_id, limit=MAX_PAGE)
        prompts = await undelayed.prompts.list(session_id=main.session_id, limit=MAX_PAGE)
    ours = {agent.id for agent in agents if (agent.context or {}).get("claude_session") == session}
    requests = [prompt for prompt in prompts if prompt.agent_id in ours and prompt.id != key]
    if requests and not any(prompt.cost_usd is None and prompt.status == "completed" for prompt in requests):
        return {}
    cost = Decimal(str(reported["total_cost_usd"])) - sum((prompt.cost_usd or Decimal(0) for prompt in requests), Decimal(0))
    if cost < _ROUNDING:
        return {}
    models: dict[str, Values] = reported.get("model_usage") or {}
    output = sum(usage.get("outputTokens", 0) for usage in models.values())
    known = sum(prompt.tokens_output or 0 for prompt in requests)
    return {"cost_usd": eight_places(cost), "tokens_output": max(output - known, 0)}


def _row(main: Agent, key: str) -> Values:
    return {
        "id": key,
        "agent_id": main.id,
        "prompt_type": "adw",
        "prompt_name": UNITEMISED,
        "prompt_text": "",
        "status": "completed",
        "created_at": main.started_at,
        "completed_at": main.completed_at or main.started_at,
        "cost_source": "reported",
        "cost_basis": "the total that Claude Code reported, less what its requests account for",
    }
