"""How long every list and page takes in a large store, as the program that asks sees it: through `Database`, rows made.

The store is built once by the bulk verbs, and kept if a folder is named. Each query runs once to warm up; then the median
counts. Those that take longer than their budget are printed, with what they asked and SQLite's plan for it.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from tac_bootstrap_cli.tests.postgres.running import new_cluster

from benchmarks import dataset
from benchmarks.dataset import KINDS, SPAN, START, Dataset
from benchmarks.harness import Budget, Line, ProgressLine, Size, settings, spread, temporary_folder
from benchmarks.postgres import DURABLE
from tac_orchestrator import Database
from tac_orchestrator.cli.lookup import matching
from tac_orchestrator.engines.base import RawRow
from tac_orchestrator.ops.checks import vacuum
from tac_orchestrator.ops.figures import holdings
from tac_orchestrator.queries import Query

PAGE, SEARCH = Budget(10, " ms"), Budget(50, " ms")
PAGE_OF_SERVER = Budget(20, " ms")
ATTEMPTS = 4

# The day in the middle, on which the hot agent ran.
A_DAY: Mapping[str, Any] = {"since": START + SPAN / 2, "until": START + SPAN / 2 + timedelta(days=1)}

Question = Callable[[Database], Awaitable[Any]]
Filters = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    name: str
    question: Question
    budget: Budget = PAGE


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement that a case has led to."""

    sql: str
    values: Mapping[str, Any]
    took_ms: float


def lists(table: str, filters: Mapping[str, Filters], before: Any) -> Iterator[Case]:
    """A table's list: all of it, by each filter, by each two, and the pages far behind the first."""
    yield _list(table, "newest", {})
    yield _list(table, "deep page", {"before": before})
    for name, values in filters.items():
        yield _list(table, name, values)
        yield _list(table, f"{name}, deep page", {**values, "before": before})
    for (one, first), (other, second) in combinations(filters.items(), 2):
        if not first.keys() & second.keys():
            yield _list(table, f"{one}, {other}", {**first, **second})


def _list(table: str, name: str, values: Filters) -> Case:
    return Case(f"{table}: {name}", lambda database: getattr(database, table).list(**values))


def _session_lists(data: Dataset) -> Iterator[Case]:
    filters = {status: {"status": status} for status in ("running", "completed", "failed", "cancelled")}
    return lists("sessions", {**filters, "a day": A_DAY}, data.hot.session_id)


def _agent_lists(data: Dataset, kinds: Mapping[str, str]) -> Iterator[Case]:
    usual = data.agent(data.agent_count // 3)
    filters: Mapping[str, Filters] = {
        "session": {"session_id": usual.session_id},
        **{status: {"status": status} for status in ("executing", "completed", "failed", "cancelled", "planning")},
        "kind": {"orchestrator_agent_id": kinds["fixer"]},
        "parent": {"parent_agent_id": data.hot.id},
        "a day": A_DAY,
    }
    return lists("agents", filters, data.hot.id)


def _prompt_lists(data: Dataset, before: str) -> Iterator[Case]:
    usual = data.agent(data.agent_count // 3)
    filters: Mapping[str, Filters] = {
        "agent": {"agent_id": usual.id},
        "hot agent": {"agent_id": data.hot.id},
        "session": {"session_id": usual.session_id},
        "hot session": {"session_id": data.hot.session_id},
        **{status: {"status": status} for status in ("completed", "failed", "cancelled", "pending", "streaming")},
        **{type: {"prompt_type": type} for type in ("tool_call", "command", "correction")},
        **{model: {"model_used": model} for model in ("gpt-5", "local-experimental", "no-such-model")},
        "a day": A_DAY,
    }
    return lists("prompts", filters, before)


def _log_lists(data: Dataset, before: int) -> Iterator[Case]:
    usual = data.agent(data.agent_count // 3)
    filters: Mapping[str, Filters] = {
        "agent": {"agent_id": usual.id},
        "hot agent": {"agent_id": data.hot.id},
        "session": {"session_id": usual.session_id},
        "hot session": {"session_id": data.hot.session_id},
        **{level: {"log_level": level} for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")},
        **{type: {"log_type": type} for type in ("state_change", "milestone", "error", "tool_call", "cost_update")},
        "a day": A_DAY,
    }
    return lists("agent_logs", filters, before)


def _system_log_lists(before: int) -> Iterator[Case]:
    filters: Mapping[str, Filters] = {
        **{level: {"log_level": level} for level in ("INFO", "WARNING", "ERROR", "CRITICAL")},
        **{component: {"component": component} for component in ("orchestrator", "api")},
        "a day": A_DAY,
    }
    return lists("system_logs", filters, before)


def _sessions_and_feed(data: Dataset, last: str) -> Iterator[Case]:
    usual = data.session_id(data.session_count // 3)
    middle = ".".join(str(int(part) // 2) for part in last.split("."))
    yield Case("sessions: one", lambda database: database.sessions.find(usual))
    yield Case("sessions: tree", lambda database: database.sessions.tree(usual))
    yield Case("sessions: tree of the hot agent's", lambda database: database.sessions.tree(data.hot.session_id))
    yield Case("sessions: matching a few", lambda database: database.sessions.matching(usual[:-1], limit=5))
    yield Case("sessions: matching all", lambda database: database.sessions.matching("issue-", limit=5))
    yield Case("changes: position", lambda database: database.changes.last())
    yield Case("changes: after the middle", lambda database: database.changes.after(middle))
    yield Case("changes: after the last but ten", lambda database: database.changes.after(_ten_before(last)))
    yield Case("changes: after the last", lambda database: database.changes.after(last))
    yield Case("leases: lost", lambda database: database.leases.lost())


def _ten_before(position: str) -> str:
    """On a server, ten transactions; there is one number for everything."""
    change, agent_log, system_log = map(int, position.split("."))
    return f"{change}.{agent_log - 10}.{system_log}" if agent_log else f"{change - 10}.0.0"


def _totals() -> Iterator[Case]:
    end = START + SPAN
    spans: Mapping[str, Filters] = {"ever": {}, "7 days": {"since": end - timedelta(days=7), "until": end}}
    for group in ("model", "day", "agent_type", "session"):
        for name, span in spans.items():
            asked = {**span, "limit": 100}
            yield Case(
                f"usage: by {group}, {name}", lambda database, group=group, asked=asked: database.usage.by(group, **asked)
            )
    yield Case("tac-orch status: counts", lambda database: holdings(database, end))


def _lookups(data: Dataset) -> Iterator[Case]:
    for table, beginning in (("agents", data.hot.id[:13]), ("prompts", data.hot.id[:13])):
        yield Case(
            f"{table}: matching", lambda database, table=table, beginning=beginning: matching(database, table, beginning)
        )


def _searches() -> Iterator[Case]:
    common, other, rare = "abate", "conate", "verward"
    words = {
        "a common word": common,
        "a rare word": rare,
        "two common words": f"{common} {other}",
        "a common and a rare one": f"{common} {rare}",
        "either": f"{common} OR {rare}",
        "a phrase": f'"{common} {other}"',
        "a beginning": "ab*",
        "one without another": f"{common} -{other}",
        "a number": "65000",
        "no such word": "xylophone",
    }
    for name, text in words.items():
        yield Case(f"search: {name}", lambda database, text=text: database.search.find(text), SEARCH)


async def cases(database: Database, data: Dataset) -> list[Case]:
    kinds = {kind.name: kind.id for kind in await database.orchestrator_agents.list()}
    assert kinds.keys() == KINDS.keys()
    middle = data.hot.started_at + timedelta(minutes=5)
    prompt = (await database.prompts.list(until=middle, limit=1))[0].id
    log = (await database.agent_logs.list(until=middle, limit=1))[0].id or 0
    system_log = (await database.system_logs.list(until=middle, limit=1))[0].id or 0
    return [
        *_session_lists(data),
        *_sessions_and_feed(data, await database.changes.last()),
        *_agent_lists(data, kinds),
        *_prompt_lists(data, prompt),
        *_log_lists(data, log),
        *_system_log_lists(system_log),
        *_totals(),
        *_lookups(data),
        *_searches(),
    ]


class Listener:
    """Notes what the engine of a database is asked to read."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._fetch, self._query = self._engine.fetch, self._engine.query
        self.asked = list[Asked]()

    def __enter__(self) -> Listener:
        self._engine.fetch, self._engine.query = self.fetch, self.query
        return self

    def __exit__(self, *_error: object) -> None:
        self._engine.fetch, self._engine.query = self._fetch, self._query

    async def fetch(self, query: Query, values: Sequence[Any]) -> list[RawRow]:
        named = dict(zip(query.parameters, values, strict=True))
        return await self._note(query.text, named, self._fetch(query, values))

    async def query(self, sql: str, values: Mapping[str, Any]) -> list[RawRow]:
        return await self._note(sql, values, self._query(sql, values))

    async def _note(self, sql: str, values: Mapping[str, Any], answer: Awaitable[list[RawRow]]) -> list[RawRow]:
        start = perf_counter()
        rows = await answer
        self.asked.append(Asked(sql, values, (perf_counter() - start) * 1000))
        return rows


async def timed(database: Database, case: Case, repeats: int) -> list[float]:
    """Of what takes longer than its budget, the best of several attempts counts: another program's load passes, a slow plan
    stays."""
    spent = await _attempt(database, case, repeats)
    for _ in range(ATTEMPTS - 1):
        if not case.budget.holds(median(spent)):
            spent = min(spent, await _attempt(database, case, repeats), key=median)
    return spent


async def _attempt(database: Database, case: Case, repeats: int) -> list[float]:
    await case.question(database)
    spent = list[float]()
    for _ in range(repeats):
        start = perf_counter()
        await case.question(database)
        spent.append((perf_counter() - start) * 1000)
    return spent


async def explain(database: Database, case: Case) -> None:
    with Listener(database) as listener:
        await case.question(database)
    print(f"\n{case.name} takes longer than its budget:")
    for asked in listener.asked:
        print(f"  {asked.took_ms:.1f} ms: {asked.sql}\n    {dict(asked.values)}")
        for plan in await _plan(database, asked):
            print(f"    {plan}")


async def _plan(database: Database, asked: Asked) -> list[str]:
    """SQLite's hint, a `+` before a column, means nothing elsewhere."""
    if database.engine.path:
        return [row["detail"] for row in await database.query(f"EXPLAIN QUERY PLAN {asked.sql}", **asked.values)]
    sql = re.sub(r"(?<![\w)])\+(?=[a-z_]+\.)", "", asked.sql)
    return [row["QUERY PLAN"] for row in await database.query(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", **asked.values)]


async def catch_up(database: Database) -> Line:
    """What the search index costs whoever searches first."""
    progress, start, rows = None, perf_counter(), 0
    async for step in database.search.catch_up():
        progress = progress or ProgressLine("Building: search index", step.total)
        progress.show(step.done)
        rows = step.done
    seconds = perf_counter() - start
    return Line("search index, caught up", f"{rows} rows in {seconds:.1f} s")


def measure(size: Size, folder: Path, *, keep: bool = False, only: str = "") -> list[Line]:
    """With `keep`, the store stays in the folder, and is used again when it is there and of today's schema."""
    if not keep:
        with temporary_folder(folder) as own:
            return measure(size, own, keep=True, only=only)
    data, path = Dataset(size.reads), folder / f"reads-{size.reads:g}.db"
    found = list[Line]()
    if not asyncio.run(dataset.is_current(path)):
        path.unlink(missing_ok=True)
        start = perf_counter()
        asyncio.run(dataset.build(path, data))
        seconds, rows = perf_counter() - start, data.log_count + data.prompt_count
        found.append(Line("store, built", f"in {seconds:.0f} s, {rows / seconds:.0f} rows/s"))
    found.append(Line("store", f"{_sizes(data)}, {path.stat().st_size / 1e9:.2f} GB"))
    return found + asyncio.run(_ask(path, data, size.repeats, only))


def measure_postgres(size: Size, *, url: str | None = None, only: str = "") -> list[Line]:
    """The same from a server: one of its own, or a database that somebody names, which is filled if it holds no sessions."""
    if url is None:
        with new_cluster(settings=DURABLE) as cluster, cluster.new_database() as own:
            return measure_postgres(size, url=own, only=only)
    data, found = Dataset(size.reads), list[Line]()
    start = perf_counter()
    if asyncio.run(_filled(url, data)):
        found.append(Line("PostgreSQL: store, built", f"in {perf_counter() - start:.0f} s"))
    found.append(Line("PostgreSQL: store", _sizes(data)))
    lines = asyncio.run(_ask(url, data, size.repeats, only, page=PAGE_OF_SERVER))
    return [*found, *(replace(line, what=f"PostgreSQL: {line.what}") for line in lines)]


async def _filled(url: str, data: Dataset) -> bool:
    """Whether it had to be. A server sees to its tables when it has been left alone for a while; this one is read at once."""
    async with Database(settings(url)) as database:
        if (await database.sessions.totals())["session_count"]:
            return False
    await dataset.fill(url, data)
    async with Database(settings(url)) as database:
        await vacuum(database)
    return True


def _sizes(data: Dataset) -> str:
    return f"{data.log_count} logs, {data.prompt_count} prompts, {data.session_count} sessions"


async def _ask(target: Path | str, data: Dataset, repeats: int, only: str, page: Budget = PAGE) -> list[Line]:
    """Searches come last: the first of them has to catch up with all rows, which takes minutes."""
    found, spent = list[Line](), dict[Case, list[float]]()
    async with Database(settings(target), create=False) as database:
        everything = [case if case.budget is SEARCH else replace(case, budget=page) for case in await cases(database, data)]
        wanted = [case for case in everything if only in case.name]
        progress = ProgressLine("Reading", len(wanted))
        for number, case in enumerate(wanted):
            progress.show(number)
            if case.budget is SEARCH and not found:
                found.append(await catch_up(database))
            spent[case] = await timed(database, case, repeats)
        progress.show(len(wanted))
        for case in wanted:
            if not case.budget.holds(median(spent[case])):
                await explain(database, case)
    return [*found, *_lines(spent, verbose=bool(only))]


def _lines(spent: Mapping[Case, list[float]], *, verbose: bool) -> list[Line]:
    """The slowest of each kind, and every one that takes longer than its budget."""
    groups = defaultdict[str, list[Case]](list)
    for case in spent:
        groups[case.name.partition(":")[0]].append(case)
    found = list[Line]()
    for group in groups.values():
        slowest = max(group, key=lambda case: median(spent[case]) / case.budget.limit)
        shown = [case for case in group if verbose or case is slowest or not case.budget.holds(median(spent[case]))]
        found += [_line(case, spent[case]) for case in shown if case is not slowest]
        line = _line(slowest, spent[slowest])
        found.append(replace(line, what=f"{line.what} (the slowest of {len(group)})", others=len(group) - len(shown)))
    return found


def _line(case: Case, spent: list[float]) -> Line:
    return Line(f"{case.name}, ms", spread(spent), median(spent), case.budget)
