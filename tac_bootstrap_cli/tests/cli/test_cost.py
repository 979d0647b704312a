from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent, make_prompt

from .support import Caller


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("model", ["m1", "claude-sonnet-4-5", "of nobody"]),
        ("agent-type", ["builder", "planner"]),
        ("session", ["issue-41", "issue-42"]),
    ],
)
def test_the_dearest_come_first(call: Caller, store: Path | str, by: str, groups: list[str]) -> None:
    assert [row["group"] for row in call("cost", "--by", by, "--json").json] == groups


def test_the_last_line_is_the_total(call: Caller, store: Path | str) -> None:
    lines = call("cost").out.splitlines()

    assert lines[0].split() == ["MODEL", "PROMPTS", "FAILED", "INPUT", "CACHED", "OUTPUT", "COST", "UNPRICED"]
    assert lines[-2].split() == ["of", "nobody", "2", "0", "20", "0", "10", "-", "2"]
    assert lines[-1].split() == ["total", "6", "0", "97844", "62000", "2258", "0.648992", "2"]


@pytest.mark.parametrize("by", ["model", "day", "agent-type", "session"])
def test_every_group_adds_up_to_the_same(call: Caller, store: Path | str, by: str) -> None:
    rows = call("cost", "--by", by, "--json").json

    assert sum(Decimal(row["cost_usd"]) for row in rows if row["cost_usd"]) == Decimal("0.648992")
    assert call("cost", "--by", by).out.splitlines()[-1].split()[-2] == "0.648992"


def test_a_span_of_days_can_be_chosen(call: Caller, store: Path | str) -> None:
    assert len(call("cost", "--by", "day", "--since", "1d", "--until", "2999-01-01", "--json").json) == 1
    assert call("cost", "--until", "2d", "--json").json == []
    assert call("cost", "--until", "2d").err == "No cost yet.\n"


def test_the_total_is_that_of_all_rows(call: Caller, target: Path | str) -> None:
    asyncio.run(_spend(target))

    result = call("cost", "--limit", "1", columns=100)

    assert [line.split()[0] for line in result.plain.splitlines()[1:]] == ["dear", "total"]
    assert "$11.00" in result.out
    assert "1 more: --limit 2" in result.err
    assert [row["group"] for row in call("cost", "--json").json] == ["dear", None]
    assert "(unknown)" in call("cost").out


async def _spend(target: Path | str) -> None:
    async with Database.open(target) as db:
        agent = await make_agent(db)
        await make_prompt(db, agent, status="completed", model_used="dear", cost_usd=Decimal(10))
        await make_prompt(db, agent, status="completed", cost_usd=Decimal(1))


def test_each_request_is_explained(call: Caller, store: Path | str) -> None:
    told = call("cost", "--explain", "issue-42", "--json").json

    assert (told["session_id"], told["cost_usd"], told["unpriced_count"]) == ("issue-42", "0.324496", 1)
    assert [(one["agent_name"], one["cost_source"]) for one in told["requests"]] == [
        ("planner", "priced"),
        ("builder", "reported"),
        ("builder", "unknown"),
    ]
    priced, reported, unknown = (one["basis"] for one in told["requests"])
    assert priced.endswith(": anthropic/claude-sonnet-4-5")
    assert reported == "as its source reported it"
    assert unknown.endswith("has no price for model 'of nobody'")


@pytest.mark.parametrize("option", [("--by", "day"), ("--since", "1d"), ("--until", "1d"), ("--limit", "1")], ids=" ".join)
def test_an_explanation_does_not_pass_over_an_option(call: Caller, store: Path | str, option: tuple[str, str]) -> None:
    result = call("cost", "--explain", "issue-42", *option)

    assert (result.code, result.out) == (2, "")
    assert f"whatever {option[0]} says" in result.err


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_total_says_what_it_is_on_any_terminal(call: Caller, store: Path | str, columns: int) -> None:
    total = call("cost", "--explain", "issue-42", columns=columns).plain.splitlines()[-1]

    assert total.split()[0] == "total"
    assert "$0.3245" in total


def test_tokens_of_the_cache_are_told_apart(call: Caller, target: Path | str) -> None:
    asyncio.run(_use_the_cache(target))

    lines = call("cost", "--explain", "session").out.splitlines()

    assert lines[0].split()[3:10] == ["INPUT", "READ", "WRITE", "5M", "WRITE", "1H", "OUTPUT"]
    assert lines[1].split()[3:9] == ["1000", "600", "200", "100", "50", "0.00258"]
    assert lines[2].split()[3:8] == ["-"] * 5
    assert lines[2].endswith("it is failed")
    assert lines[3].split()[:9] == ["total", "1000", "600", "200", "100", "50", "0.00258"]


async def _use_the_cache(target: Path | str) -> None:
    cached = {"tokens_cache_read": 600, "tokens_cache_write": 300, "tokens_cache_write_1h": 100}
    async with Database.open(target) as db:
        agent = await make_agent(db)
        used = {"model_used": "claude-sonnet-4-5", "tokens_input": 1000, "tokens_output": 50, **cached}
        await make_prompt(db, agent, status="completed", **used)
        await make_prompt(db, agent, status="failed")
