"""A large trace that is kept up to date record by record has the rows that all its records together amount to."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tac_orchestrator.ingest.otel.branches import is_plain
from tac_orchestrator.ingest.otel.facts import CallFacts, Facts, Tokens
from tac_orchestrator.ingest.otel.growing import Growing, Unfit
from tac_orchestrator.ingest.otel.intake import read_bodies
from tac_orchestrator.ingest.otel.rows import Derived, derive

from .captured import CAPTURED, bodies

TRACE = "0af7651916cd43dd8448eb211c80319c"
NAMES = ("planner", "builder", "builder")
CALL_IDS = (None, None, "call_1", "call_2", "call_3")
ANSWERS = (None, None, "short", "a-name-that-nobody-else-has-1", "a-name-that-nobody-else-has-2")


@st.composite
def trees(draw: st.DrawFn) -> list[Facts]:
    """Records of one trace, each under another, under one that is missing, or under none."""
    number = draw(st.integers(1, 14))
    return [_facts(draw, place, number) for place in range(number)]


def _facts(draw: st.DrawFn, place: int, number: int) -> Facts:
    kind: Any = draw(st.sampled_from(("agent", "agent", "call", "call", "call", "tool", "tool", "message", "log", "other")))
    start = draw(st.integers(0, 20))
    above = draw(st.one_of(st.none(), st.integers(0, place), st.integers(number, number + 1)))
    parent = None if above in (None, place) else f"{above:02}"
    one = Facts(TRACE, f"{place:02}", parent, kind, kind, "", "service", "p", start, start)
    one.end_us = start + draw(st.integers(0, 5))
    one.scope = draw(st.sampled_from(("one", "two")))
    one.state = draw(st.sampled_from(("completed", "completed", "failed")))
    one.session = draw(st.sampled_from((None, None, None, "session")))
    if kind == "agent":
        one.agent = draw(st.sampled_from(NAMES))
    elif kind == "call":
        asked = draw(st.lists(st.sampled_from(CALL_IDS), max_size=2))
        one.call = CallFacts(
            model=draw(st.sampled_from((None, "gpt-4o"))), tokens=Tokens(input=start), rank=draw(st.integers(1, 2))
        )
        one.call.response_id, one.call.is_partial = draw(st.sampled_from(ANSWERS)), draw(st.booleans())
        one.call.requested = [[key or "", draw(st.sampled_from(("read", "builder"))), ""] for key in asked]
        one.call.results = [key for key in draw(st.lists(st.sampled_from(CALL_IDS), max_size=2)) if key]
    elif kind == "tool":
        one.name, one.call_id = draw(st.sampled_from(("read", "write"))), draw(st.sampled_from(CALL_IDS))
    elif kind == "message":
        one.details = {"role": draw(st.sampled_from(("user", "choice"))), "text": "said"}
    return one


@settings(deadline=None)
@given(facts=trees(), seed=st.integers(0, 1000), pieces=st.integers(1, 6))
def test_whatever_comes_when_the_rows_are_those_of_all_together(facts: list[Facts], seed: int, pieces: int) -> None:
    assert_grows(facts, seed, pieces)


@pytest.mark.parametrize("name", CAPTURED)
@pytest.mark.parametrize("pieces", [2, 10])
def test_captured_traces_grow_as_they_are(name: str, pieces: int) -> None:
    _, readings = read_bodies(bodies(name))
    for trace_id in {one.facts.trace_id for one in readings}:
        facts = {one.facts.key: one.facts for one in readings if one.facts.trace_id == trace_id}
        assert_grows(list(facts.values()), 1, pieces)


def assert_grows(facts: list[Facts], seed: int, pieces: int) -> None:
    random.Random(seed).shuffle(facts)
    if not all(map(is_plain, facts)):
        with pytest.raises(Unfit):
            Growing(facts[0].trace_id, facts)
        return
    size = max(1, -(-len(facts) // pieces))
    growing, known = Growing(facts[0].trace_id, facts[:size]), facts[:size]
    for start in range(size, len(facts), size):
        piece = facts[start : start + size]
        before, known = derive(known), known + piece
        try:
            told, becomes = growing.add(piece)
        except Unfit:
            return
        assert_is_difference(told, becomes, before, derive(known))
    whole = derive(known)
    assert growing.derived.rows == whole.rows
    assert growing.derived.homes == whole.homes
    assert growing.derived.shared == whole.shared


def assert_is_difference(told: Derived, becomes: Derived, before: Derived, after: Derived) -> None:
    changed = {home for home in {**before.rows, **after.rows} if before.rows.get(home) != after.rows.get(home)}
    assert changed <= {*told.rows, *becomes.rows}
    assert told.rows == {home: before.rows[home] for home in told.rows}
    assert becomes.rows == {home: after.rows[home] for home in becomes.rows}
    assert {place for place in after.homes if before.homes.get(place, after.homes[place]) != after.homes[place]} <= {
        *told.homes
    }


def test_what_an_agent_owned_is_its_wrapper_s_when_that_comes() -> None:
    wrapper, inner, request = (_plain(key, kind) for key, kind in (("1", "agent"), ("2", "agent"), ("3", "call")))
    inner.parent, request.parent = wrapper.key, inner.key
    growing = Growing(TRACE, [inner, request])
    growing.add([wrapper])
    assert growing.derived.rows == derive([wrapper, inner, request]).rows
    assert len([home for home in growing.derived.rows if home[0] == "agents"]) == 1


def test_a_record_that_is_told_again_more_fully_changes_its_row() -> None:
    begun, ended = _plain("1", "call"), _plain("1", "call")
    begun.is_open, ended.end_us = True, 9
    growing = Growing(TRACE, [begun])
    told, becomes = growing.add([ended])
    assert [row["status"] for home, row in told.rows.items() if home[0] == "prompts"] == ["streaming"]
    assert growing.derived.rows == derive([ended]).rows == {**growing.derived.rows, **becomes.rows}


def _plain(key: str, kind: Any) -> Facts:
    one = Facts(TRACE, key, None, kind, kind, "", "service", "p", int(key), 5)
    one.agent = "builder" if kind == "agent" else None
    one.call = CallFacts(model="gpt-4o") if kind == "call" else None
    return one
