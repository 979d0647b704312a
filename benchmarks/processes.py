"""How long writers wait for each other when many processes write to one store.

Every process awaits log after log, each of them committed with synchronous=FULL, in one task or in several at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from time import perf_counter

from harness import Budget, logs, percentile, print_surroundings, print_table, settings, temporary_folder

from tac_orchestrator import AgentRun, Database, OrchestratorError

LOGS = logs(100)
PATIENCE_S = 60.0
LOCKED, PERCENTILE_99, LONGEST = Budget(0), Budget(100, " ms"), Budget(500, " ms")


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


def lines(seconds: float, report: Report, stored: int, tasks: int) -> list[list[str]]:
    waits, busy = report.waits_ms, report.errors["DatabaseBusy"]
    others = sum(report.errors.values()) - busy
    what = "1 task each" if tasks == 1 else f"{tasks} tasks each"
    p99, longest = percentile(waits, 99), max(waits)
    total = f"{seconds:.2f} s, {stored / seconds:.0f} logs/s, {stored} of {len(waits)} stored"
    return [
        [f"{what}: locked errors", f"{busy}, {others} other errors", str(LOCKED), LOCKED.verdict(busy + others)],
        [f"{what}: p50", f"{percentile(waits, 50):.2f} ms", "", ""],
        [f"{what}: p99", f"{p99:.2f} ms", str(PERCENTILE_99), PERCENTILE_99.verdict(p99)],
        [f"{what}: longest", f"{longest:.2f} ms", str(LONGEST), LONGEST.verdict(longest)],
        [f"{what}: total", total, "", "holds" if stored == len(waits) else "FALLS SHORT"],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--writes", type=int, default=2000, help="of each process")
    parser.add_argument("--tasks", type=int, nargs="+", default=[1, 16], help="of each process; more than one are run in turn")
    parser.add_argument("--folder", type=Path, help="where to make the databases, if not in the system's temporary folder")
    given = parser.parse_args()
    table = list[list[str]]()
    with temporary_folder(given.folder) as folder:
        print_surroundings(folder)
        for tasks in given.tasks:
            path = folder / f"{tasks}-tasks.db"
            seconds, report = run(path, given.processes, given.writes, tasks)
            table += lines(seconds, report, asyncio.run(_stored(path)), tasks)
    print_table((f"{given.processes} processes x {given.writes} logs", "measured", "budget", ""), table)


if __name__ == "__main__":
    main()
