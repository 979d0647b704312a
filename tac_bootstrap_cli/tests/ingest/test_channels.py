"""Claude Code tells of a run through four channels. Whichever come, and in whatever order, they give the rows of one run."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database

from ..reliability.support import start
from .channels import HOOKED, RUNS, Run
from .samples import contents, expected

SUBAGENTS = "claude-code-subagents"
ASYNC = "claude-code-2.1.330-async-subagents"
NESTED = "claude-code-2.1.330-nested-2"
FAILED = "claude-code-fatal-error"

ORDERS = tuple(itertools.permutations(("hooks", "transcripts", "stream", "telemetry")))


@pytest.fixture(autouse=True)
def _in_a_project_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hooks write, if the store is in a server."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def other(tmp_path: Path) -> AsyncGenerator[Database]:
    """A second store, to compare with."""
    async with Database.open(tmp_path / "other.db") as database:
        yield database


def as_expected(rows: dict[str, list[Any]], name: str) -> None:
    """Agents, requests, tools, tokens and cost are those of the run, each once."""
    truth = expected(name)
    provider, prompts = truth["llm_api_truth"], rows["prompts"]
    done = [prompt for prompt in prompts if prompt["status"] == "completed"]
    assert len(rows["agents"]) == truth["agents"]
    assert (len(done), len(prompts)) == (truth["llm_calls"], truth["llm_calls"] + truth.get("llm_calls_failed", 0))
    assert sum(log["log_type"] == "tool_call" for log in rows["logs"]) == truth["tool_calls"]
    for column, count in (
        ("tokens_input", "input_tokens_incl_cache"),
        ("tokens_output", "output_tokens"),
        ("tokens_cache_read", "cache_read_tokens"),
        ("tokens_cache_write", "cache_write_tokens"),
    ):
        assert sum(prompt[column] or 0 for prompt in done) == provider[count], column
    for costing in (done, rows["agents"]):
        assert float(sum(one["cost_usd"] or 0 for one in costing)) == pytest.approx(truth["cost_usd_genai_prices"], abs=1e-6)


@pytest.mark.parametrize("name", RUNS)
async def test_telemetry_and_transcripts_are_one_run_whichever_is_first(
    db: Database, other: Database, name: str, tmp_path: Path
) -> None:
    run = Run(name, tmp_path)
    await run.tell(db, run.steps("telemetry", "transcripts"))
    await run.tell(other, run.steps("transcripts", "telemetry"))

    rows = await contents(db)
    as_expected(rows, name)
    assert await contents(other) == rows


async def test_a_request_has_the_cost_and_the_time_that_only_telemetry_tells(db: Database, tmp_path: Path) -> None:
    run = Run(SUBAGENTS, tmp_path)
    await run.tell(db, run.steps("transcripts"))
    assert {(prompt.cost_source, prompt.latency_ms) for prompt in await db.prompts.list()} == {("priced", None)}
    await run.tell(db, run.steps("telemetry"))

    prompts = await db.prompts.list()
    assert {prompt.cost_source for prompt in prompts} == {"reported"}
    assert all(prompt.latency_ms for prompt in prompts)


@pytest.mark.parametrize(
    ("name", "order"), [(SUBAGENTS, ORDERS[0]), (NESTED, ORDERS[8]), (ASYNC, ORDERS[15]), (SUBAGENTS, ORDERS[-1])]
)
async def test_four_channels_give_the_rows_of_one_run(db: Database, name: str, order: tuple[str, ...], tmp_path: Path) -> None:
    run = Run(name, tmp_path)
    await run.tell(db, run.steps(*order))

    as_expected(await contents(db), name)


@pytest.mark.long
@pytest.mark.parametrize("name", HOOKED)
async def test_the_order_of_four_channels_makes_no_difference(name: str, tmp_path: Path) -> None:
    run, found = Run(name, tmp_path), list[Any]()
    for number, order in enumerate(ORDERS):
        async with Database.open(tmp_path / f"{number}.db") as db:
            await run.tell(db, run.steps(*order))
            found.append((order, await contents(db)))
    for order, rows in found:
        assert rows == found[0][1], order


async def interleaved(name: str, seed: int, db: Database, other: Database, tmp_path: Path) -> None:
    run, others = Run(name, tmp_path), ("transcripts", "stream", *(["hooks"] if name in HOOKED else []))
    await run.tell(db, run.interleaved(seed, *others))
    await run.tell(other, run.steps("telemetry", *others))

    rows = await contents(db)
    as_expected(rows, name)
    assert rows == await contents(other)


@pytest.mark.parametrize("name", [SUBAGENTS, "claude-code-max-turns"])
async def test_each_record_may_come_between_any_others(db: Database, other: Database, name: str, tmp_path: Path) -> None:
    await interleaved(name, 2, db, other, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", RUNS)
async def test_however_often_they_are_shuffled_the_rows_are_the_same(
    db: Database, other: Database, name: str, seed: int, tmp_path: Path
) -> None:
    await interleaved(name, seed, db, other, tmp_path)


async def test_all_channels_may_tell_at_the_same_moment(db: Database, other: Database, tmp_path: Path) -> None:
    run = Run(SUBAGENTS, tmp_path)
    channels = ("transcripts", "stream", "hooks")
    steps = [run.steps(channel) for channel in channels] + [[step] for step in run.interleaved(1)]
    await asyncio.gather(*(run.tell(db, told) for told in steps))
    await run.tell(other, run.steps(*channels, "telemetry"))

    assert await contents(db) == await contents(other)


async def test_what_a_process_has_cost_is_not_counted_beside_what_telemetry_tells_of_its_requests(
    db: Database, tmp_path: Path
) -> None:
    run = Run("claude-code-basic", tmp_path)
    await run.tell(db, run.steps("stream"))
    assert "unitemised" in {prompt.prompt_name for prompt in await db.prompts.list()}
    await run.tell(db, run.steps("telemetry"))

    as_expected(await contents(db), "claude-code-basic")


async def test_a_sub_agent_of_which_telemetry_knows_only_the_key_is_the_one_that_its_call_started(
    db: Database, other: Database, tmp_path: Path
) -> None:
    run = Run(ASYNC, tmp_path)
    events = [step for step in run.steps("telemetry") if step.body and step.body.signal == "logs"]
    await run.tell(db, [*events, *run.steps("hooks", "transcripts")])
    await run.tell(other, [*run.steps("transcripts", "hooks"), *events])

    rows = await contents(db)
    as_expected(rows, ASYNC)
    assert await contents(other) == rows


async def test_an_error_is_told_once(db: Database, tmp_path: Path) -> None:
    run = Run(FAILED, tmp_path)
    await run.tell(db, run.steps("telemetry", "stream", "transcripts"))

    assert len([log for log in await db.agent_logs.list() if log.log_type == "error"]) == 1


TELLING = """
import asyncio, sys
from pathlib import Path

from tac_orchestrator import Database
from tests.ingest.channels import Run


async def main(store, folder, name, *channels):
    run = Run(name, Path(folder))
    async with Database.open(store) as db:
        print("ready", flush=True)
        sys.stdin.readline()
        for step in run.interleaved(1) if channels == ("telemetry",) else run.steps(*channels):
            print(step.channel, flush=True)
            await run.tell(db, [step])


asyncio.run(main(*sys.argv[1:]))
"""


def telling(store: Path, folder: Path, name: str, *channels: str) -> subprocess.Popen[str]:
    """A process that tells of a run once its input says so."""
    folder.mkdir()
    return start(TELLING, store, folder, name, *channels, cwd=Path(__file__).parents[2])


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("now\n")
    process.stdin.flush()


async def test_each_channel_may_come_from_a_process_of_its_own(path: Path, other: Database, tmp_path: Path) -> None:
    channels = ("telemetry", "transcripts", "stream", "hooks")
    async with Database.open(path):
        pass
    with ExitStack() as stack:
        processes = [stack.enter_context(telling(path, tmp_path / channel, SUBAGENTS, channel)) for channel in channels]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            begin(process)
        assert [process.communicate()[1] for process in processes] == [""] * len(channels)

    run = Run(SUBAGENTS, tmp_path)
    await run.tell(other, run.steps(*channels))
    async with Database.open(path) as db:
        rows = await contents(db)
    as_expected(rows, SUBAGENTS)
    assert rows == await contents(other)


@pytest.mark.parametrize("channel", ["transcripts", "stream"])
async def test_whoever_is_killed_in_the_middle_leaves_what_the_next_one_completes(
    path: Path, other: Database, channel: str, tmp_path: Path
) -> None:
    with telling(path, tmp_path / "killed", ASYNC, "telemetry", "transcripts", "stream") as process:
        begin(process)
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == channel:
                process.kill()
                break

    run = Run(ASYNC, tmp_path)
    async with Database.open(path) as db:
        await run.tell(db, run.steps("transcripts", "stream", "telemetry"))
        rows = await contents(db)
    await run.tell(other, run.steps("telemetry", "transcripts", "stream"))
    as_expected(rows, ASYNC)
    assert rows == await contents(other)
