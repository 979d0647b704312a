"""Pricing again changes what was priced or unknown, keeps what was reported, and moves every total with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tac_orchestrator.ops.checks import check
from tac_orchestrator.ops.repricing import reprice
from tac_orchestrator.tables.sources import Batch

MODEL = "claude-sonnet-4-5"
USED = {"tokens_input": 1000, "tokens_output": 100}
PRICE = Decimal("0.0045")
"""What the table says of it."""


async def priced_before(db, agent, cost_usd, **columns):
    """A prompt as another price table has left it."""
    prompt = await db.prompts.create(agent.id, "adw", "Do it.", status="completed", **{"model_used": MODEL, **USED, **columns})
    source = "unknown" if cost_usd is None else "priced"
    told = {"cost_usd": cost_usd, "cost_source": source, "cost_basis": "genai-prices 0.0.1: an older one"}
    await db.sources.save(Batch(prompts=[{**dict(prompt), **told}]), {})
    return prompt.id


async def test_what_had_no_price_gets_one_and_what_had_another_is_corrected(db, agent):
    new, other = await priced_before(db, agent, None), await priced_before(db, agent, Decimal("0.5"))
    done = await reprice(db)
    assert (done.checked, done.priced, done.changed, done.unknown, done.gone) == (2, 1, 1, 0, 0)
    assert (done.before_usd, done.after_usd) == (Decimal("0.5"), 2 * PRICE)
    assert {model: one.prompts for model, one in done.by_model.items()} == {MODEL: 2}
    for key in (new, other):
        prompt = await db.prompts.get(key)
        assert (prompt.cost_usd, prompt.cost_source) == (PRICE, "priced")
        assert prompt.cost_basis is not None
        assert MODEL in prompt.cost_basis


async def test_totals_move_with_the_prices(db, agent):
    for cost in (None, Decimal("0.5"), Decimal(3)):
        await priced_before(db, agent, cost)
    await reprice(db)
    session = await db.sessions.get(agent.session_id)
    assert (await db.agents.get(agent.id)).cost_usd == session.cost_usd == 3 * PRICE
    assert session.unpriced_count == 0
    assert [row.cost_usd for row in await db.usage.by("model")] == [3 * PRICE]
    assert [one.name for one in await check(db) if one.state != "ok"] == []


async def test_what_was_reported_stays(db, agent):
    prompt = await db.prompts.create(agent.id, "adw", "Do it.", status="completed", model_used=MODEL, cost_usd=9, **USED)
    assert (await reprice(db)).checked == 0
    assert await db.prompts.get(prompt.id) == prompt


async def test_a_price_stays_that_the_table_no_longer_has(db, agent):
    key = await priced_before(db, agent, Decimal(2), model_used="withdrawn")
    done = await reprice(db)
    assert (done.gone, done.changed) == (1, 0)
    assert (await db.prompts.get(key)).cost_usd == 2


async def test_what_stays_as_it_is_is_not_written(db, agent):
    await priced_before(db, agent, PRICE)
    await priced_before(db, agent, None, model_used="unheard-of")
    before = await db.changes.last()
    done = await reprice(db)
    assert (done.checked, done.unknown, done.priced + done.changed) == (2, 1, 0)
    assert await db.changes.after(before) == []


async def test_a_dry_run_says_the_same_and_writes_nothing(db, agent):
    await priced_before(db, agent, None)
    before = await db.changes.last()
    planned = await reprice(db, dry_run=True)
    assert await db.changes.after(before) == []
    assert await reprice(db) == planned


async def test_only_one_session_or_what_is_new_is_priced(db, new_agent):
    agents = [await new_agent(session_id=name) for name in ("one", "two")]
    old = datetime.now(UTC) - timedelta(days=3)
    mine, other = [await priced_before(db, agent, None) for agent in agents]
    older = await priced_before(db, agents[0], None, created_at=old)
    assert (await reprice(db, session_id="one", since=old + timedelta(days=1))).priced == 1
    assert [(await db.prompts.get(key)).cost_usd for key in (mine, other, older)] == [PRICE, None, None]
    assert (await reprice(db, since=old)).priced == 2


async def test_many_are_priced_piece_by_piece(db, agent):
    at = datetime.now(UTC)
    rows = [
        {
            "agent_id": agent.id,
            "prompt_type": "adw",
            "prompt_text": "Do it.",
            "status": "completed",
            "created_at": at,
            "model_used": MODEL,
            "cost_source": "unknown",
            **USED,
        }
        for _ in range(300)
    ]
    await db.prompts.create_many(rows)
    assert (await reprice(db, session_id=agent.session_id, dry_run=True)).priced == 300
    assert (await reprice(db)).priced == 300
    assert (await db.sessions.get(agent.session_id)).cost_usd == 300 * PRICE


async def test_a_cost_that_is_reported_meanwhile_stays(db, agent):
    key = await priced_before(db, agent, None)
    commit = db.commit

    async def commit_later(*statements):
        await db.prompts.update(key, cost_usd=7)
        return await commit(*statements)

    db.commit = commit_later
    await reprice(db)
    prompt = await db.prompts.get(key)
    assert (prompt.cost_usd, prompt.cost_source) == (7, "reported")
