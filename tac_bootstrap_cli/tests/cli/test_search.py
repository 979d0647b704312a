from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent

from .support import Caller


def test_words_are_found_in_prompts_and_logs(call: Caller, store: Path | str) -> None:
    assert [hit["entity"] for hit in call("search", "parser", "--json").json] == [
        "agent_log", "agent_log", "agent_log", "agent_log", "agent_log", "agent_log", "prompt", "prompt"
    ]  # fmt: skip
    assert len(call("search", "built", "again", "--json").json) == 2
    assert len(call("search", '"built again"', "--json").json) == 2
    assert len(call("search", '"again built"', "--json").json) == 0
    assert len(call("search", "--json", "--", "built", "-again").json) == 4
    assert len(call("search", "plan*", "--limit", "1", "--json").json) == 1


def test_nothing_found_is_an_answer(call: Caller, store: Path | str) -> None:
    result = call("search", "nowhere")

    assert (result.code, result.out, result.err) == (0, "", "Nothing found.\n")


@pytest.mark.parametrize("words", ["", "*", '"'])
def test_who_names_no_word_is_shown_one(call: Caller, store: Path | str, words: str) -> None:
    result = call("search", words)

    assert (result.code, result.out) == (5, "")
    assert result.err.splitlines()[1].startswith("Try: `tac-orch search timeout pars*` finds ")


def test_what_was_found_is_marked_for_people_and_whole_for_pipes(call: Caller, store: Path | str) -> None:
    assert "Plan the ⟦parser⟧." in call("search", "parser", columns=140).out
    assert "Plan the parser." in call("search", "parser").out
    assert "⟦parser⟧" in call("search", "parser", "--json").json[-1]["excerpt"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_what_was_found_is_in_sight_however_narrow_the_terminal(call: Caller, path: Path, columns: int) -> None:
    asyncio.run(_log(path, 1, before=f"{'=' * 90} short test summary info of the "))

    out = call("search", "word", columns=columns).plain

    assert "⟦word⟧ 0" in out
    assert max(map(len, out.splitlines())) <= columns


def test_a_page_of_what_was_found_says_how_to_see_more(call: Caller, store: Path | str) -> None:
    assert call("search", "parser", "--limit", "7", columns=80).err.endswith("There may be more: --limit 14\n")
    assert "There may be more" not in call("search", "parser", "--limit", "9", columns=80).err


def test_an_index_that_has_to_catch_up_says_so(call: Caller, target: Path | str) -> None:
    asyncio.run(_log(target, 6000))

    first, second = call("search", "word"), call("search", "word")

    assert first.err == "Rows to index: 6,000 …\n"
    assert second.err == ""
    assert first.out == second.out != ""


async def _log(target: Path | str, count: int, before: str = "") -> None:
    async with Database.open(target) as db:
        agent = await make_agent(db)
        await db.agent_logs.create_many(
            {"agent_id": agent.id, "log_type": "milestone", "message": f"{before}word {number}"} for number in range(count)
        )
