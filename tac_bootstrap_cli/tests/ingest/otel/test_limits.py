"""A trace that never ends takes what room it has, and no more; a name that every answer has links no traces."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tac_orchestrator import Database
from tac_orchestrator.ingest.otel import Body, Taken, ingest_otlp

from ..channels import Run
from ..samples import contents, expected

MOST = 50
ENDLESS, OTHER = "a" * 32, "b" * 32
_SECOND = 10**9


@pytest.fixture
async def limited(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Database]:
    monkeypatch.setenv("TAC_ORCHESTRATOR_MAX_TRACE", str(MOST))
    async with Database.open(path) as db:
        yield db


def calls(first: int, number: int, trace_id: str | None = ENDLESS, answer: str | None = None) -> Body:
    """Requests to a model, each in a span of its own, and in a trace of its own if none is given."""
    told = {"gen_ai.operation.name": "chat", **({"gen_ai.response.id": answer} if answer else {})}
    spans = [
        {
            "traceId": trace_id or f"{place:032x}",
            "spanId": f"{place:016x}",
            "name": "chat m",
            "startTimeUnixNano": str(place * _SECOND),
            "endTimeUnixNano": str(place * _SECOND + 1000),
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in told.items()],
        }
        for place in range(first, first + number)
    ]
    return Body("traces", "application/json", json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode())


@contextmanager
def traced() -> Generator[Callable[[], tuple[int, int]]]:
    """Bytes that were taken since, now and at most."""
    tracemalloc.start()
    try:
        yield tracemalloc.get_traced_memory
    finally:
        tracemalloc.stop()


async def number_of_requests(db: Database) -> int:
    return len(await db.prompts.list(limit=10_000))


async def test_what_goes_beyond_is_refused_counted_and_said_in_the_system_log(limited: Database) -> None:
    answers = [await ingest_otlp(limited, [calls(first, 20)]) for first in range(1, 81, 20)]

    assert [(taken.spans, taken.rejected_count) for taken in answers] == [(20, 0), (20, 0), (10, 10), (0, 20)]
    assert answers[-1].reason == "20 × a trace holds at most 50 records"
    assert await number_of_requests(limited) == MOST
    logs = await limited.system_logs.list(component="otlp")
    assert [log.details for log in logs] == [{"rejected": {"a trace holds at most 50 records": number}} for number in (20, 10)]


async def test_others_have_their_own_room(limited: Database) -> None:
    await ingest_otlp(limited, [calls(1, 80)])

    taken = await ingest_otlp(limited, [calls(1, MOST, OTHER)])

    assert (taken.spans, taken.rejected_count) == (MOST, 0)
    assert await number_of_requests(limited) == 2 * MOST


async def test_of_two_who_send_at_once_each_is_told_of_its_own(limited: Database) -> None:
    await ingest_otlp(limited, [calls(1, MOST)])

    endless, other = await asyncio.gather(ingest_otlp(limited, [calls(100, 7)]), ingest_otlp(limited, [calls(1, 3, OTHER)]))

    assert (endless.rejected_count, other.rejected_count, other.spans) == (7, 0, 3)


async def test_what_is_known_may_be_told_again_while_there_is_room(limited: Database) -> None:
    await ingest_otlp(limited, [calls(1, MOST - 1)])

    assert not (await ingest_otlp(limited, [calls(1, MOST)])).rejected


async def test_a_trace_that_was_full_is_so_for_the_next_process(limited: Database, path: Path) -> None:
    await ingest_otlp(limited, [calls(1, 80)])

    async with Database.open(path) as db:
        assert (await ingest_otlp(db, [calls(100, 5)])).rejected_count == 5


async def test_memory_does_not_grow_with_what_is_refused(limited: Database) -> None:
    async def send(rounds: range) -> list[Taken]:
        return [await ingest_otlp(limited, [calls(number * 100, 100)]) for number in rounds]

    await send(range(1, 6))
    with traced() as memory:
        answers = await send(range(6, 46))
        grown, _ = memory()
    assert sum(taken.rejected_count for taken in answers) == 4000
    assert grown < 1_000_000


ANSWERS = ["chatcmpl-test", "chatcmpl-00000000000000000000"]
"""What models for tests call every answer of theirs: a short name, and one as long as real ones are."""


@pytest.mark.parametrize("answer", ANSWERS)
async def test_requests_whose_answers_all_have_one_name_are_counted_one_by_one(db: Database, answer: str) -> None:
    for first in range(1, 201, 20):
        await ingest_otlp(db, [calls(first, 20, None, answer)])

    assert await number_of_requests(db) == 200


@pytest.mark.parametrize("trace_id", [None, OTHER], ids=["many traces", "one trace"])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_it_makes_no_difference_in_what_parts_they_come(
    db: Database, tmp_path: Path, answer: str, trace_id: str | None
) -> None:
    async with Database.open(tmp_path / "other.db") as other:
        await ingest_otlp(db, [calls(1, 60, trace_id, answer)])
        for first in (41, 1, 21, 41):
            await ingest_otlp(other, [calls(first, 20, trace_id, answer)])

        assert await contents(other) == await contents(db)
    assert await number_of_requests(db) == 60


async def test_a_large_trace_of_such_answers_is_taken_as_well(db: Database) -> None:
    for first in range(1, 701, 100):
        await ingest_otlp(db, [calls(first, 100, OTHER, ANSWERS[1])])

    assert await number_of_requests(db) == 700


async def test_what_a_batch_takes_does_not_grow_with_the_traces_of_such_answers(db: Database, path: Path) -> None:
    for first in range(1, 2001, 500):
        await ingest_otlp(db, [calls(first, 500, None, ANSWERS[0])])

    async with Database.open(path) as another:
        await ingest_otlp(another, [calls(3000, 1)])
        with traced() as memory:
            await ingest_otlp(another, [calls(3001, 1, None, ANSWERS[0])])
            _, most = memory()
    assert most < 1_000_000


async def test_a_session_whose_telemetry_is_too_much_has_what_its_transcripts_tell(limited: Database, tmp_path: Path) -> None:
    run = Run("claude-code-subagents", tmp_path)
    for step in run.steps("telemetry"):
        assert step.body is not None
        await ingest_otlp(limited, [step.body])
    await run.tell(limited, run.steps("transcripts"))

    rows, truth = await contents(limited), expected(run.name)
    assert len(rows["agents"]) == truth["agents"]
    assert len(rows["prompts"]) == truth["llm_calls"]
