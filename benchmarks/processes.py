"""How long writers wait for each other when many processes write to one store.

Every process awaits log after log, each of them committed with synchronous=FULL, in one task or in several at a time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from time import perf_counter

from benchmarks.harness import Budget, Line, Size, logs, percentile, settings, temporary_folder
from tac_orchestrator import AgentRun, Database, OrchestratorError

LOGS = logs(100)
PATIENCE_S = 60.0
WRITES, TASKS = 2000, (1, 16)
NONE, PERCENTILE_99, LONGEST = Budget(0), Budget(100, " ms"), Budget(500, " ms")


@dataclass(frozen=True, slots=True)
class Report:
    """What one process saw."""

    waits_ms: list[float] = field(default_factory=list[float])
    errors: Counter[str] = field(default_factory=Counter[str])


def record(path: Path, writes: int, tasks: int, start: Barrier, answers: multiprocessing.SimpleQueue[Report]) -> None:
    """What a process does."""
    report = Report()
    try:
        asyncio.run(_record(path, writes, tasks, start, report))
    finally:
        answers.put(report)


async def _record(path: Path, writes: int, tasks: int, start: Barrier, report: Report) -> None:
    async with Database(settings(path)) as database, database.agents.run("builder", session_id="benchmark") as agent:
        await asyncio.to_thread(start.wait, PATIENCE_S)
        await asyncio.gather(*(_write(agent, range(first, writes, tasks), report) for first in range(tasks)))


async def _write(agent: AgentRun, numbers: range, report: Report) -> None:
    for number in numbers:
        message, details = LOGS[number % len(LOGS)]
        began = perf_counter()
        try:
            await agent.log("milestone", message, details=details)
        except OrchestratorError as error:
            report.errors[type(error).__name__] += 1
        report.waits_ms.append((perf_counter() - began) * 1000)


def run(path: Path, processes: int, writes: int, tasks: int) -> tuple[float, Report]:
    """Seconds that all of them took together, and what they saw."""
    asyncio.run(_prepare(path))
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(processes + 1), context.SimpleQueue()
    children = [
        context.Process(target=record, args=(path, writes, tasks, start, answers), daemon=True) for _ in range(processes)
    ]
    for child in children:
        child.start()
    start.wait(PATIENCE_S)
    began = perf_counter()
    reports: list[Report] = [answers.get() for _ in children]
    seconds = perf_counter() - began
    for child in children:
        child.join()
    together = Report()
    for report in reports:
        together.waits_ms.extend(report.waits_ms)
        together.errors.update(report.errors)
    return seconds, together


async def _prepare(path: Path) -> None:
    async with Database(settings(path)) as database:
        await database.orchestrator_agents.register("builder", agent_type="builder")


async def _stored(path: Path) -> int:
    async with Database(settings(path)) as database:
        rows = await database.query("SELECT COUNT(*) AS number FROM agent_logs WHERE log_type = 'milestone'")
        return rows[0]["number"]


def measure(size: Size, folder: Path) -> list[Line]:
    writes = max(int(WRITES * size.writes), 10)
    found = list[Line]()
    with temporary_folder(folder) as own:
        for tasks in TASKS:
            path = own / f"{tasks}-tasks.db"
            seconds, report = run(path, size.processes, writes, tasks)
            what = f"{size.processes} processes, {tasks} task{'s' if tasks > 1 else ''} each"
            found += lines(what, seconds, report, asyncio.run(_stored(path)))
    return found


def lines(what: str, seconds: float, report: Report, stored: int) -> list[Line]:
    waits, errors = report.waits_ms, sum(report.errors.values())
    p50, p99, longest = percentile(waits, 50), percentile(waits, 99), max(waits)
    kinds = f" ({', '.join(report.errors)})" if errors else ""
    missing = len(waits) - errors - stored
    return [
        Line(f"{what}: locked or other errors", f"{errors}{kinds}", errors, NONE),
        Line("… logs that were acknowledged and are not there", f"{missing} of {len(waits)}", missing, NONE),
        Line("… 99 of 100 waited less than", f"{p99:.2f} ms (half: {p50:.2f} ms)", p99, PERCENTILE_99),
        Line("… the longest wait", f"{longest:.2f} ms", longest, LONGEST),
        Line("… together", f"{seconds:.2f} s, {stored / seconds:.0f} logs/s"),
    ]
