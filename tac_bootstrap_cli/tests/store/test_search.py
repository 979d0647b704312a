"""The search: its language, and an index that follows what is written, changed and deleted."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Agent, Database, InvalidRecord
from tac_orchestrator.testing import make_agent, make_prompt

from .support import DAY, connected


async def found_by(db: Database, words: str, **options: Any) -> list[tuple[str, str]]:
    return [(hit.entity, hit.id) for hit in await db.search.find(words, **options)]


async def test_prompts_answers_and_logs_are_found(db: Database, agent: Agent) -> None:
    prompt = await make_prompt(db, agent, "A zebra crosses.")
    answered = await make_prompt(db, agent, "Which animal?", response_text="The zebra.")
    number = await db.agent_logs.create(agent.id, "milestone", "saw it", details={"animal": "zebra"})
    other = await db.system_logs.create("api", "zebra seen")
    hits = await db.search.find("zebra")
    assert [(hit.entity, hit.id, hit.agent_id, hit.session_id) for hit in hits] == [
        ("system_log", str(other), None, None),
        ("agent_log", str(number), agent.id, "session"),
        ("prompt", answered.id, agent.id, "session"),
        ("prompt", prompt.id, agent.id, "session"),
    ]
    assert [hit.excerpt for hit in hits[2:]] == ["The ⟦zebra⟧.", "A ⟦zebra⟧ crosses."]
    assert all(hit.created_at.tzinfo is UTC for hit in hits)


@pytest.mark.parametrize("place", ["prompt_text", "response_text"])
async def test_the_same_word_over_and_over_keeps_nobody_waiting(db: Database, agent: Agent, place: str) -> None:
    texts = {"prompt_text": "What?", place: f"{'so ' * 5000}{'ok ' * 100_000}"}
    await make_prompt(db, agent, texts["prompt_text"], response_text=texts.get("response_text"))
    async with asyncio.timeout(30):
        (hit,) = await db.search.find("ok")
    assert "⟦ok⟧ ⟦ok⟧" in hit.excerpt
    assert len(hit.excerpt) < 300
    assert hit.excerpt.count("⟦") == hit.excerpt.count("⟧")


TEXTS = {
    "first": "The quick brown fox jumps over the lazy dog",
    "second": "The quick red fox sleeps",
    "third": "A brown bear eats naïve salmon",
    "fourth": "error in user_id=42: e-mail to bob@example.com failed",
}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fox", "first second"),
        ("FOX", "first second"),
        ("brown fox", "first"),
        ("fox brown", "first"),
        ('"quick red"', "second"),
        ('"red quick"', ""),
        ('"quick red', "second"),
        ("qui*", "first second"),
        ("qui", ""),
        ("fox -red", "first"),
        ('fox -"quick red"', "first"),
        ("fox OR bear", "first second third"),
        ("red fox OR bear", "second third"),
        ("OR fox OR", "first second"),
        ("fox OR OR bear", "first second third"),
        ("naive", "third"),
        ("NAÏVE", "third"),
        ("salm* -dog", "third"),
        ("bob@example.com", "fourth"),
        ("user_id=42", "fourth"),
        ("e-mail", "fourth"),
        ("fox AND dog", ""),
        ("NOT", ""),
        ("NEAR(fox dog)", ""),
        ("prompt_text:fox", ""),
        ("fox)", "first second"),
        ("(fox", "first second"),
        ('fo"x', ""),
        ("fox*bear", ""),
        ("^the", "first second"),
        ("fox +dog", "first"),
        ("fox {dog}", "first"),
    ],
)
async def test_the_language_of_the_search(db: Database, agent: Agent, words: str, expected: str) -> None:
    prompts = {(await make_prompt(db, agent, text)).id: name for name, text in TEXTS.items()}
    assert {prompts[key] for _, key in await found_by(db, words)} == set(expected.split())


@pytest.mark.parametrize("words", ["", " ", "-fox", "*", '""', "OR", "?!", "- -", '"', "\0", "\ud800"])
async def test_a_search_for_no_word_is_refused(db: Database, words: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        await db.search.find(words)
    assert caught.value.field == "words"


async def test_the_newest_come_first_and_no_more_than_asked_for(db: Database, agent: Agent) -> None:
    for place in range(30):
        await db.system_logs.create("api", f"word {place}", created_at=DAY + timedelta(hours=place))
        await make_prompt(db, agent, f"word {place}", created_at=DAY + timedelta(hours=place, minutes=30))
    hits = await db.search.find("word", limit=7)
    assert [hit.created_at for hit in hits] == [DAY + timedelta(hours=29, minutes=30 - 30 * place) for place in range(7)]


async def test_a_beginning_is_found_whether_few_words_begin_so_or_many(db: Database, agent: Agent) -> None:
    await db.prompts.create_many(
        {
            "agent_id": agent.id,
            "prompt_type": "adw",
            "prompt_text": f"many{place} few{place % 3}",
            "created_at": DAY + timedelta(seconds=place),
        }
        for place in range(250)
    )

    async def found(words: str) -> list[int]:
        hits = await db.search.find(words, limit=1000)
        return [int((hit.created_at - DAY).total_seconds()) for hit in hits]

    newest_first = [*reversed(range(250))]
    assert await found("many*") == await found("FEW*") == await found("man* OR few1") == newest_first
    assert await found("many24*") == [*reversed(range(240, 250)), 24]
    assert await found("fe* -few1* -many2*") == [place for place in newest_first if place % 3 != 1 and str(place)[0] != "2"]
    assert await found("many* fewer*") == []


async def test_the_index_catches_up_in_steps(db: Database, agent: Agent) -> None:
    await db.prompts.create_many(
        {"agent_id": agent.id, "prompt_type": "adw", "prompt_text": f"word{place}"} for place in range(1200)
    )
    progress = [(step.done, step.total) async for step in db.search.catch_up()]
    assert progress == [(500, 1200), (1000, 1200), (1200, 1200)]
    assert [step async for step in db.search.catch_up()] == []
    assert len(await found_by(db, "word1199")) == 1


async def test_two_may_catch_up_at_once(db: Database, agent: Agent, path: Path) -> None:
    await db.prompts.create_many(
        {"agent_id": agent.id, "prompt_type": "adw", "prompt_text": f"word{place}"} for place in range(1200)
    )
    async with Database.open(path) as other:
        results = await asyncio.gather(*(found_by(store, "word*", limit=2000) for store in (db, other) * 3))
    assert [len(result) for result in results] == [1200] * 6
    assert_whole_index(path)


async def test_a_row_that_changes_is_found_as_it_is_now(db: Database, agent: Agent, path: Path) -> None:
    prompt = await make_prompt(db, agent, "zebra")
    number = await db.agent_logs.create(agent.id, "milestone", "zebra")
    other = await db.system_logs.create("api", "zebra")
    assert len(await found_by(db, "zebra")) == 3
    await db.prompts.answer(prompt.id, "lion")
    assert await found_by(db, "lion") == [("prompt", prompt.id)]
    with connected(path) as connection:
        connection.execute("UPDATE prompts SET prompt_text = 'lion'")
        connection.execute("UPDATE agent_logs SET message = 'lion'")
        connection.execute('UPDATE system_logs SET details = \'{"is": "lion"}\'')
    assert set(await found_by(db, "lion")) == {("prompt", prompt.id), ("agent_log", str(number)), ("system_log", str(other))}
    assert await found_by(db, "zebra") == [("system_log", str(other))]
    assert_whole_index(path)


async def test_rows_that_have_gone_are_not_found_and_new_ones_are(db: Database, agent: Agent, path: Path) -> None:
    """SQLite gives the numbers of the last rows again once they have gone."""
    for _ in range(10):
        await make_prompt(db, agent, "zebra")
    assert len(await found_by(db, "zebra")) == 10
    await db.agents.delete(agent.id)
    assert await found_by(db, "zebra") == []
    again = await make_agent(db)
    prompts = [await make_prompt(db, again, "zebra") for _ in range(3)]
    assert {key for _, key in await found_by(db, "zebra")} == {prompt.id for prompt in prompts}
    assert_whole_index(path)


@pytest.mark.parametrize("gone", [slice(0, 5), slice(5, 10), slice(2, 8), slice(0, 9), slice(0, 10, 2), slice(0, 10)])
async def test_rows_are_found_after_a_vacuum(db: Database, agent: Agent, path: Path, gone: slice) -> None:
    """VACUUM may number the rows anew."""
    prompts = [await make_prompt(db, agent, "zebra") for _ in range(10)]
    assert len(await found_by(db, "zebra")) == 10
    for prompt in prompts[gone]:
        await db.prompts.delete(prompt.id)
    late = [await make_prompt(db, agent, "zebra") for _ in range(4)]
    with connected(path) as connection:
        connection.execute("VACUUM")
    late += [await make_prompt(db, agent, "zebra") for _ in range(2)]
    left = [prompt for prompt in prompts if prompt not in prompts[gone]]
    assert {key for _, key in await found_by(db, "zebra")} == {prompt.id for prompt in left + late}
    assert_whole_index(path)


def assert_whole_index(path: Path) -> None:
    with connected(path) as connection:
        for table in ("prompt_search", "agent_log_search", "system_log_search"):
            connection.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")
