"""Prompts as blocks of code within a run: an answer, its cost, or the reason why there is none is on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from tac_orchestrator import AgentRun, Database, InvalidRecord, InvalidTransition, Prompt

from .support import MODEL, Mishap, be_cancelled, ends_cancelled


@asynccontextmanager
async def asked(db: Database, **options: Any) -> AsyncGenerator[tuple[AgentRun, Any]]:
    async with db.agents.run("builder") as run, run.prompt("adw", text="Plan it.", **options) as prompt:
        yield run, prompt


async def only_prompt(db: Database) -> Prompt:
    (prompt,) = await db.prompts.list()
    return prompt


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize("waits", [False, True])
async def test_an_answer_is_stored_with_its_cost_and_its_latency(db: Database, waits: bool) -> None:
    async with asked(db, name="plan", model=MODEL) as (run, prompt):
        assert prompt.prompt_text == "Plan it."
        if waits:
            await asyncio.sleep(0.02)
            await db.flush()
            pending = await only_prompt(db)
            assert (pending.id, pending.status, pending.completed_at) == (prompt.id, "pending", None)
        prompt.answer("Done.", tokens_input=1000, tokens_output=100, tokens_cache_read=200, details={"n": 1})
    stored = await only_prompt(db)
    assert (stored.status, stored.response_text, stored.prompt_name, stored.agent_id) == ("completed", "Done.", "plan", run.id)
    assert (stored.tokens_input, stored.tokens_output, stored.tokens_cache_read) == (1000, 100, 200)
    assert (stored.cost_source, stored.model_used, stored.details) == ("priced", MODEL, {"n": 1})
    assert stored.cost_usd == (await db.agents.get(run.id)).cost_usd == Decimal("0.00396")
    assert stored.latency_ms is not None
    assert stored.latency_ms >= (15 if waits else 0)
    assert stored.completed_at
    assert stored.completed_at >= stored.created_at


@pytest.mark.usefixtures("builder")
async def test_a_cost_that_is_given_counts_as_reported(db: Database) -> None:
    async with asked(db) as (run, prompt):
        prompt.answer("Done.", model_used=MODEL, tokens_input=1, tokens_output=1, cost_usd=Decimal("0.0061"))
    stored = await only_prompt(db)
    assert (stored.cost_usd, stored.cost_source) == (Decimal("0.0061"), "reported")
    assert (await db.agents.get(run.id)).cost_usd == Decimal("0.0061")


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize(
    ("answer", "basis"),
    [
        ({"model_used": "no-such-model", "tokens_input": 1, "tokens_output": 1}, "no price for model 'no-such-model'"),
        ({"tokens_input": 1, "tokens_output": 1}, "the model is not known"),
        ({"model_used": MODEL}, "the tokens are not known"),
        ({"model_used": MODEL, "tokens_input": 1, "tokens_output": 1, "tokens_cache_read": 2}, "exceed the input tokens"),
    ],
)
async def test_an_unknown_cost_is_none_and_the_reason_is_kept(db: Database, answer: dict[str, Any], basis: str) -> None:
    async with asked(db) as (run, prompt):
        prompt.answer("Done.", **answer)
    stored = await only_prompt(db)
    assert (stored.cost_usd, stored.cost_source) == (None, "unknown")
    assert basis in (stored.cost_basis or "")
    assert (await db.agents.get(run.id)).cost_usd is None


@pytest.mark.usefixtures("builder")
async def test_a_block_without_an_answer_is_a_cancelled_prompt(db: Database) -> None:
    async with asked(db):
        pass
    stored = await only_prompt(db)
    assert (stored.status, stored.error_message, stored.cost_usd) == ("cancelled", "The block ended without an answer.", None)


@pytest.mark.usefixtures("builder")
async def test_a_program_that_ends_in_order_has_no_failed_prompt(db: Database) -> None:
    with pytest.raises(SystemExit):
        async with asked(db):
            raise SystemExit(0)
    assert (await only_prompt(db)).status == "cancelled"
    assert (await db.agents.list())[0].status == "completed"


@pytest.mark.usefixtures("builder")
async def test_an_exception_fails_the_prompt_and_the_agent(db: Database) -> None:
    async def work() -> None:
        async with asked(db):
            await asyncio.sleep(0)
            raise Mishap("overloaded")

    with pytest.raises(Mishap):
        await work()
    stored = await only_prompt(db)
    assert (stored.status, stored.error_message) == ("failed", "Mishap: overloaded")
    assert (await db.agents.get(stored.agent_id)).status == "failed"


@pytest.mark.usefixtures("builder")
async def test_a_prompt_whose_task_is_cancelled_is_cancelled(db: Database) -> None:
    async def work() -> None:
        async with asked(db):
            await be_cancelled()

    assert await ends_cancelled(work)
    stored = await only_prompt(db)
    assert (stored.status, stored.error_message) == ("cancelled", "CancelledError")
    assert (await db.agents.get(stored.agent_id)).status == "cancelled"


@pytest.mark.usefixtures("builder")
async def test_a_prompt_may_fail_although_its_block_goes_on(db: Database) -> None:
    async with asked(db) as (run, prompt):
        prompt.fail("It refused.")
    stored = await only_prompt(db)
    assert (stored.status, stored.error_message) == ("failed", "It refused.")
    assert (await db.agents.get(run.id)).status == "completed"


@pytest.mark.usefixtures("builder")
async def test_a_prompt_is_answered_once(db: Database) -> None:
    async with asked(db) as (_, prompt):
        prompt.answer("first")
        with pytest.raises(InvalidTransition):
            prompt.answer("second")
    assert (await only_prompt(db)).response_text == "first"


@pytest.mark.usefixtures("builder")
async def test_an_answer_that_cannot_be_stored_fails_the_prompt_with_the_reason(db: Database) -> None:
    with pytest.raises(InvalidRecord):
        async with asked(db) as (_, prompt):
            prompt.answer("Done.", tokens_input=-1)
    stored = await only_prompt(db)
    assert stored.status == "failed"
    assert "tokens_input" in (stored.error_message or "")


@pytest.mark.usefixtures("builder")
async def test_a_prompt_that_cannot_be_stored_is_refused_before_the_model_is_asked(db: Database) -> None:
    async with db.agents.run("builder") as run:
        with pytest.raises(InvalidRecord):
            run.prompt("adw", text="\0")
    assert await db.prompts.list() == []
