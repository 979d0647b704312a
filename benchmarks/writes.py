"""How fast rows are stored, against plain SQL that stores the same rows in the same run.

Each round makes every measurement once, each in a new database in the same folder. A ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from typing import Any

from benchmarks import baselines
from benchmarks.baselines import Schema
from benchmarks.harness import (
    MODEL,
    PROMPT_BYTES,
    RESPONSE_BYTES,
    TOKENS,
    Budget,
    Line,
    ProgressLine,
    Size,
    logs,
    settings,
    spread,
    temporary_folder,
    texts,
)
from tac_orchestrator import AgentRun, Database
from tac_orchestrator.redaction import redactor

Measure = Callable[[Path, int], Coroutine[Any, Any, float]]
"""Makes a database at this path, writes so many rows, and says how many it wrote a second (or what a call cost, in µs)."""

LOGS = logs(1000)
PROMPTS = list(zip(texts(256, PROMPT_BYTES), texts(256, RESPONSE_BYTES), strict=True))
WITH_ADDRESSES = [
    f"{text[: len(text) // 2]} https://example.org/{place} {text[len(text) // 2 :]}" for place, (text, _) in enumerate(PROMPTS)
]
BURST = 1000
FEWEST = 200


@asynccontextmanager
async def running_agent(path: Path | str) -> AsyncGenerator[tuple[Database, AgentRun]]:
    async with Database(settings(path)) as database:
        kind = await database.orchestrator_agents.register("builder", agent_type="builder")
        async with database.agents.run(kind, session_id="benchmark") as agent:
            yield database, agent


async def rate(count: int, write: Callable[[int], Awaitable[object]], *, tasks: int) -> float:
    """Calls a second, of so many tasks that each await one call after another."""

    async def work(first: int) -> None:
        for number in range(first, count, tasks):
            await write(number)

    gc.collect()
    start = perf_counter()
    async with asyncio.TaskGroup() as group:
        for first in range(tasks):
            group.create_task(work(first))
    return count / (perf_counter() - start)


def awaited_logs(tasks: int) -> Measure:
    async def measure(path: Path, count: int) -> float:
        async with running_agent(path) as (_, agent):

            async def write(number: int) -> None:
                message, details = LOGS[number % len(LOGS)]
                await agent.log("milestone", message, details=details)

            return await rate(count, write, tasks=tasks)

    return measure


def plain_logs(schema: Schema, tasks: int) -> Measure:
    async def measure(path: Path, count: int) -> float:
        async with baselines.connected_async(path, schema) as connection:
            return await rate(count, lambda n: baselines.write_log(connection, *LOGS[n % len(LOGS)]), tasks=tasks)

    return measure


async def prompt_blocks(path: Path, count: int) -> float:
    async with running_agent(path) as (_, agent):

        async def write(number: int) -> None:
            text, response = PROMPTS[number % len(PROMPTS)]
            async with agent.prompt("adw", name="build", text=text, model=MODEL) as prompt:
                await asyncio.sleep(0)  # the model is asked; without a wait, request and answer would be one write
                prompt.answer(response, tokens_input=TOKENS["tokens_input"], tokens_output=TOKENS["tokens_output"])

        await write(0)  # reads the price table
        return await rate(count, write, tasks=64)


async def prompt_verbs(path: Path, count: int) -> float:
    async with running_agent(path) as (database, agent):
        prompts = database.prompts

        async def write(number: int) -> None:
            text, response = PROMPTS[number % len(PROMPTS)]
            row = await prompts.create(agent.id, "adw", text, prompt_name="build", model_used=MODEL)
            await prompts.answer(row.id, response, model_used=MODEL, latency_ms=1, **TOKENS)

        await write(0)
        return await rate(count, write, tasks=64)


def plain_prompts(schema: Schema) -> Measure:
    async def measure(path: Path, count: int) -> float:
        async with baselines.connected_async(path, schema) as connection:
            return await rate(count, lambda n: baselines.write_prompt(connection, *PROMPTS[n % len(PROMPTS)]), tasks=64)

    return measure


async def bulk_logs(path: Path, count: int) -> float:
    async with running_agent(path) as (database, agent):
        pairs = (LOGS[number % len(LOGS)] for number in range(count))
        rows = ({"agent_id": agent.id, "log_type": "milestone", "message": text, "details": details} for text, details in pairs)
        return await rate(1, lambda _: database.agent_logs.create_many(rows), tasks=1) * count


async def bulk_prompts(path: Path, count: int) -> float:
    async with running_agent(path) as (database, agent):
        common: Mapping[str, Any] = {"agent_id": agent.id, "prompt_type": "adw", "prompt_name": "build", "status": "completed"}
        answer: Mapping[str, Any] = {"model_used": MODEL, "latency_ms": 1, **TOKENS}
        pairs = (PROMPTS[number % len(PROMPTS)] for number in range(count))
        rows = ({**common, "prompt_text": text, "response_text": response, **answer} for text, response in pairs)
        await database.prompts.create_many([{**common, "prompt_text": "", **answer}])
        return await rate(1, lambda _: database.prompts.create_many(rows), tasks=1) * count


def raw_logs(schema: Schema) -> Measure:
    async def measure(path: Path, count: int) -> float:
        rows = [baselines.log_row(*LOGS[number % len(LOGS)]) for number in range(count)]
        return raw(path, schema, baselines.INSERT_LOG, rows)

    return measure


def raw_prompts(schema: Schema) -> Measure:
    async def measure(path: Path, count: int) -> float:
        rows = [baselines.prompt_row(*PROMPTS[number % len(PROMPTS)]) for number in range(count)]
        return raw(path, schema, baselines.INSERT_PROMPT, rows)

    return measure


def raw(path: Path, schema: Schema, sql: str, rows: list[baselines.Row]) -> float:
    with baselines.connected(path, schema) as connection:
        gc.collect()
        start = perf_counter()
        baselines.write_many(connection, sql, rows)
        return len(rows) / (perf_counter() - start)


def fire_and_forget(clock: Callable[[], float]) -> Measure:
    """µs that a call keeps its caller, in bursts; the writer works meanwhile."""

    async def measure(path: Path, count: int) -> float:
        return await _burst_cost(path, count, clock)

    return measure


async def _burst_cost(path: Path, count: int, clock: Callable[[], float]) -> float:
    async with running_agent(path) as (database, agent):
        spent = list[float]()
        for first in range(0, count, BURST):
            burst = [LOGS[number % len(LOGS)] for number in range(first, first + BURST)]
            start = clock()
            for message, details in burst:
                agent.log_soon("milestone", message, details=details)
            spent.append((clock() - start) / BURST * 1e6)
            await database.flush()
        assert database.dropped == 0
        return median(spent)


def redaction(samples: list[str]) -> Measure:
    """µs a KB that the writer spends to find that there is no secret."""

    async def measure(_path: Path, count: int) -> float:
        wanted, size = redactor(), sum(map(len, samples)) / 1024
        passes = max(count // len(samples), 1)
        start = thread_time()
        for _ in range(passes):
            for text in samples:
                if wanted.suspects([text]):
                    wanted.scrub(text)
        return (thread_time() - start) / (passes * size) * 1e6

    return measure


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of the table. Without a baseline, the budget is for our own figure."""

    what: str
    ours: str
    baseline: str | None
    budget: Budget


@dataclass(frozen=True, slots=True)
class Contender:
    measure: Measure
    rows: int


CONTENDERS: Mapping[str, Contender] = {
    "logs, 64 tasks": Contender(awaited_logs(64), 20_000),
    "aiosqlite logs, 64 tasks": Contender(plain_logs("plain", 64), 20_000),
    "aiosqlite logs, 64 tasks, whole": Contender(plain_logs("whole", 64), 20_000),
    "logs, 1,000 tasks": Contender(awaited_logs(1000), 50_000),
    "lone logs": Contender(awaited_logs(1), 3000),
    "aiosqlite lone logs": Contender(plain_logs("plain", 1), 3000),
    "aiosqlite lone logs, whole": Contender(plain_logs("whole", 1), 3000),
    "prompt blocks": Contender(prompt_blocks, 6400),
    "prompt verbs": Contender(prompt_verbs, 6400),
    "aiosqlite prompts": Contender(plain_prompts("plain"), 6400),
    "aiosqlite prompts, whole": Contender(plain_prompts("whole"), 6400),
    "bulk logs": Contender(bulk_logs, 50_000),
    "raw logs": Contender(raw_logs("plain"), 50_000),
    "raw logs, whole": Contender(raw_logs("whole"), 50_000),
    "bulk prompts": Contender(bulk_prompts, 20_000),
    "raw prompts": Contender(raw_prompts("plain"), 20_000),
    "raw prompts, whole": Contender(raw_prompts("whole"), 20_000),
    "log_soon": Contender(fire_and_forget(thread_time), 20_000),
    "log_soon, clock": Contender(fire_and_forget(perf_counter), 20_000),
    "redaction": Contender(redaction([text for text, _ in PROMPTS]), 10_000),
    "redaction, addresses": Contender(redaction(WITH_ADDRESSES), 10_000),
}

COMPARISONS = (
    Comparison("awaited logs, 64 tasks, /s", "logs, 64 tasks", "aiosqlite logs, 64 tasks", Budget(3.5, " ×", at_least=True)),
    Comparison("awaited logs, 1,000 tasks, /s", "logs, 1,000 tasks", "raw logs", Budget(0.5, " ×", at_least=True)),
    Comparison("one awaited log alone, /s", "lone logs", "aiosqlite lone logs", Budget(1.3, " ×", at_least=True)),
    Comparison(
        "prompt and answer, block, 64 tasks, /s", "prompt blocks", "aiosqlite prompts", Budget(2.5, " ×", at_least=True)
    ),
    Comparison("prompt and answer, verbs, 64 tasks, /s", "prompt verbs", "aiosqlite prompts", Budget(2.5, " ×", at_least=True)),
    Comparison("bulk logs, /s", "bulk logs", "raw logs", Budget(0.7, " ×", at_least=True)),
    Comparison("bulk prompts, /s", "bulk prompts", "raw prompts", Budget(0.6, " ×", at_least=True)),
    Comparison("fire-and-forget log, µs of the caller's own work", "log_soon", None, Budget(5, " µs")),
    Comparison("… by the clock, while the writer works", "log_soon, clock", None, Budget(5, " µs")),
    Comparison("redaction of clean text, µs per KB", "redaction", None, Budget(5, " µs")),
    Comparison("… with an address in every 2 KB", "redaction, addresses", None, Budget(5, " µs")),
)


def contenders(comparisons: Sequence[Comparison]) -> list[str]:
    """What they compare, in the order of CONTENDERS."""
    wanted = {name for each in comparisons for name in (each.ours, each.baseline, f"{each.baseline}, whole")}
    return [name for name in CONTENDERS if name in wanted]


def measure(size: Size, folder: Path) -> list[Line]:
    results = run(contenders(COMPARISONS), size, folder)
    return [line(comparison, results) for comparison in COMPARISONS]


def run(names: Sequence[str], size: Size, folder: Path) -> dict[str, list[float]]:
    results: defaultdict[str, list[float]] = defaultdict(list)
    progress = ProgressLine("Writing", size.rounds * len(names))
    for number in range(size.rounds):
        for place, name in enumerate(names if number % 2 == 0 else names[::-1]):
            progress.show(number * len(names) + place)
            contender = CONTENDERS[name]
            with temporary_folder(folder) as own:
                count = max(int(contender.rows * size.writes), FEWEST)
                results[name].append(asyncio.run(contender.measure(own / "benchmark.db", count)))
    progress.show(size.rounds * len(names))
    return results


def line(comparison: Comparison, results: Mapping[str, list[float]]) -> Line:
    ours = results[comparison.ours]
    if comparison.baseline is None:
        return Line(comparison.what, spread(ours), median(ours), comparison.budget)
    plain, whole = results[comparison.baseline], results[f"{comparison.baseline}, whole"]
    ratios = [own / other for own, other in zip(ours, plain, strict=True)]
    whole_ratio = median(own / other for own, other in zip(ours, whole, strict=True))
    return Line(
        comparison.what,
        spread(ours),
        median(ratios),
        comparison.budget,
        spread(plain),
        spread(ratios),
        f"{spread(whole)}: {whole_ratio:.3g}",
    )
