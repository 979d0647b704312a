"""Two sources tell of one row: whatever each knows, and whichever comes first, the row is the same."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tac_orchestrator.ingest.merging import is_same, merged_agent, merged_log, merged_prompt

ID = "00000000-0000-4000-8000-000000000001"
KIND = "00000000-0000-4000-8000-000000000002"

texts = st.one_of(st.none(), st.text("ab", max_size=3))
counts = st.one_of(st.none(), st.integers(0, 9))
times = st.integers(0, 5).map(lambda second: datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC))
names = st.one_of(st.none(), st.text("ab", min_size=1, max_size=3))
objects = st.one_of(
    st.none(), st.dictionaries(st.sampled_from("pq"), st.integers(0, 12), max_size=2), st.just({"times": "approximate"})
)

prompts = st.fixed_dictionaries(
    {
        "id": st.just(ID),
        "agent_id": st.just(KIND),
        "prompt_type": st.sampled_from(("adw", "followup", "tool_call", "correction", "command")),
        "prompt_name": names,
        "prompt_text": st.text("ab", max_size=3),
        "response_text": texts,
        "status": st.sampled_from(("pending", "streaming", "completed", "failed", "cancelled")),
        "model_used": names,
        "tokens_input": counts,
        "tokens_output": counts,
        "tokens_cache_read": st.none(),
        "tokens_cache_write": st.none(),
        "tokens_cache_write_1h": st.none(),
        "cost_usd": st.none(),
        "cost_source": st.none(),
        "cost_basis": st.none(),
        "created_at": times,
        "completed_at": st.one_of(st.none(), times),
        "error_message": texts,
        "details": objects,
    }
)
logs = st.fixed_dictionaries(
    {
        "agent_id": st.just(KIND),
        "log_level": st.sampled_from(("INFO", "ERROR")),
        "log_type": st.just("tool_call"),
        "message": st.text("ab", max_size=3),
        "details": objects,
        "created_at": times,
        "source_key": st.just("key"),
    }
)


def agent(source: str, as_of: int, times: str | None = None, **columns: Any) -> dict[str, Any]:
    """What one source says. Each has read to another line."""
    at = f"2026-01-01T00:00:0{as_of}"
    context = {"source": source, "as_of": at, "opened_at": at, **({"times": times} if times else {})}
    return {"id": ID, "orchestrator_agent_id": KIND, "config": None, "error_message": None, **columns, "context": context}


@st.composite
def agents(draw: st.DrawFn) -> list[dict[str, Any]]:
    places = draw(st.permutations(range(3)))
    return [
        agent(
            source,
            place,
            draw(st.sampled_from((None, "approximate"))),
            session_id=f"session of {source}",
            parent_agent_id=draw(st.sampled_from((None, KIND))) if source == "adw" else None,
            status=draw(st.sampled_from(("executing", "completed", "failed"))),
            started_at=draw(times),
            completed_at=draw(st.one_of(st.none(), times)),
        )
        for source, place in zip(("claude-code", "adw", "other"), places, strict=True)
    ]


@given(st.lists(prompts, min_size=2, max_size=3))
def test_a_prompt_is_the_same_in_any_order(told: list[dict[str, Any]]) -> None:
    results = [reduce(lambda known, row: merged_prompt(known, row, agent_id=KIND), order) for order in permutations(told)]
    assert all(result == results[0] for result in results)


@given(prompts, prompts)
def test_a_prompt_that_is_told_again_is_the_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    merged = merged_prompt(first, second, agent_id=KIND)
    assert all(is_same(merged, merged_prompt(merged, row, agent_id=KIND)) for row in (first, second, merged))


@given(st.lists(logs, min_size=2, max_size=3))
def test_a_log_is_the_same_in_any_order(told: list[dict[str, Any]]) -> None:
    results = [reduce(lambda known, row: merged_log(known, row, agent_id=KIND), order) for order in permutations(told)]
    assert all(result == results[0] for result in results)


@given(agents())
def test_an_agent_is_the_same_in_any_order(told: list[dict[str, Any]]) -> None:
    results = [reduce(merged_agent, order) for order in permutations(told)]
    assert all(result == results[0] for result in results)


@given(agents())
def test_an_agent_that_is_told_again_is_the_same(told: list[dict[str, Any]]) -> None:
    merged = reduce(merged_agent, told)
    assert all(is_same(merged, merged_agent(merged, row)) for row in told)


def test_what_was_read_to_a_later_line_says_how_an_agent_stands() -> None:
    times = {"started_at": datetime(2026, 1, 1, tzinfo=UTC), "completed_at": None, "session_id": "s", "parent_agent_id": None}
    early, late = agent("claude-code", 1, status="executing", **times), agent("claude-code", 2, status="completed", **times)
    assert merged_agent(early, late)["status"] == merged_agent(late, early)["status"] == "completed"
