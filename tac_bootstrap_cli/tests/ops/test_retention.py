from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from tac_orchestrator import Database, InvalidSetting
from tac_orchestrator.engines.base import Outcome, Statement
from tac_orchestrator.ops.checks import check
from tac_orchestrator.ops.retention import Pruning, plan, prune

DAYS = timedelta(days=2, hours=12)
"""Of six sessions, one a day, the three oldest go."""


async def test_pruning_keeps_what_everything_has_cost(db, past, totals):
    await past(sessions=12, agents=8, prompts=60)
    before = await totals(db)
    removed = await prune(db, timedelta(days=5, hours=12))
    assert (removed.sessions, removed.agents) == (6, 48)
    assert await totals(db) == before
    assert await _faults(db) == []


async def test_pruning_removes_the_rows_of_old_sessions_and_no_others(db, past):
    await past()
    young = [await db.prompts.list(session_id=f"session {number}") for number in (3, 4, 5)]
    await prune(db, DAYS)
    for number in range(3):
        assert await db.sessions.tree(f"session {number}") == []
        assert (await db.sessions.get(f"session {number}")).pruned_at is not None
    assert [await db.prompts.list(session_id=f"session {number}") for number in (3, 4, 5)] == young
    assert {log.agent_id for log in await db.agent_logs.list()} <= {agent.id for agent in await db.agents.list()}
    assert {(await db.sessions.get(f"session {number}")).pruned_at for number in (3, 4, 5)} == {None}


async def test_a_plan_is_what_pruning_does(db, past):
    await past(agents=5, prompts=7, logs=30)
    planned = await plan(db, DAYS)
    assert (planned.sessions, planned.agents, planned.prompts, planned.agent_logs, planned.system_logs) == (3, 15, 21, 90, 3)
    assert planned.bytes_freed > 0
    removed = await prune(db, DAYS)
    assert planned == _since(removed, planned)
    assert (await plan(db, DAYS)).row_count == 0


async def test_a_plan_removes_nothing(db, past):
    await past()
    before = await db.changes.last()
    await plan(db, timedelta(0))
    assert await db.changes.after(before) == []


async def test_each_removed_row_is_a_change_that_listeners_hear_of(db, past):
    await past(agents=3, prompts=7, logs=11)
    before = await db.changes.last()
    await prune(db, DAYS)
    heard = Counter(change.entity for change in await db.changes.after(before) if change.operation == "delete")
    assert heard == {"agent": 9, "prompt": 21, "agent_log": 33, "system_log": 3}


async def test_kinds_of_agents_stay(db, past):
    await past()
    before = await db.orchestrator_agents.list()
    await prune(db, timedelta(0))
    assert await db.agents.list() == []
    assert await db.orchestrator_agents.list() == before


async def test_a_session_with_a_working_agent_is_not_touched(db, past):
    await past()
    kind = (await db.orchestrator_agents.list())[0]
    await db.agents.create(kind.id, "session 0", started_at=datetime.now(UTC) - timedelta(days=9))
    before = await db.sessions.tree("session 0")
    assert (await prune(db, DAYS)).sessions == 2
    assert await db.sessions.tree("session 0") == before
    assert len(await db.prompts.list(session_id="session 0")) == 10


async def test_a_session_that_was_used_lately_is_young(db, past):
    await past()
    agent = (await db.agents.list(session_id="session 0"))[0]
    await db.prompts.create(agent.id, "adw", "Again.", status="completed")
    assert (await prune(db, DAYS)).sessions == 2
    assert len(await db.prompts.list(session_id="session 0")) == 11


async def test_a_session_that_goes_on_while_it_is_pruned_stays(db, path, past, totals, sql):
    """Its logs are gone by then; what it has cost is not."""
    await past(logs=600)
    before = await db.sessions.get("session 0")

    def go_on(done: int, _total: int) -> None:
        if done == 512:
            agent = sql(path, "SELECT id FROM agents WHERE session_id = 'session 0' LIMIT 1")[0][0]
            sql(path, "UPDATE agents SET status = 'executing', completed_at = NULL WHERE id = ?", agent)

    assert (await prune(db, DAYS, go_on)).sessions == 2
    after = await db.sessions.get("session 0")
    assert (after.running_count, after.cost_usd, after.prompt_count) == (1, before.cost_usd, before.prompt_count)
    assert len(await db.prompts.list(session_id="session 0")) == 10
    assert len(await db.agent_logs.list(session_id="session 0")) == 88


async def test_a_prompt_that_comes_in_while_its_session_is_pruned_is_counted_once(db, path, past, sql):
    await past()
    [agent, *_] = [agent.id for agent in await db.agents.list(session_id="session 0")]
    before = await db.sessions.get("session 0")

    def import_one(done: int, _total: int) -> None:
        if done == 30:  # the logs and prompts of the oldest session are gone
            sql(path, _OLD_PROMPT, "0190b7a8-0000-7000-8000-000000000000", agent)

    await prune(db, DAYS, import_one)
    after = await db.sessions.get("session 0")
    assert (after.cost_usd, after.prompt_count) == (before.cost_usd + Decimal("0.5"), before.prompt_count + 1)
    assert await db.agents.list(session_id="session 0") == []


class _Late(Database):
    """A store into which somebody else writes just before agents are deleted."""

    write_first: Callable[[], object]

    async def commit(self, *statements: Statement) -> Sequence[Outcome]:
        if statements[-1].query.name == "retention.delete_agents":
            await asyncio.to_thread(self.write_first)
        return await super().commit(*statements)


async def test_an_agent_that_has_got_a_prompt_at_the_last_moment_is_not_deleted_with_it(db, path, past, sql):
    await past(sessions=1, agents=1)
    [agent] = await db.agents.list()
    before = await db.sessions.get("session 0")
    ids = ["0190b7a8-0000-7000-8000-000000000000"]
    async with _Late.open(path) as late:
        late.write_first = lambda: ids and sql(path, _OLD_PROMPT, ids.pop(), agent.id)
        assert (await prune(late, timedelta(0))).agents == 1
    after = await db.sessions.get("session 0")
    assert (after.agent_count, after.prompt_count) == (1, before.prompt_count + 1)
    assert after.cost_usd == before.cost_usd + Decimal("0.5")
    assert await _faults(db) == []


_OLD_PROMPT = """
INSERT INTO prompts (id, agent_id, prompt_type, prompt_text, status, cost_usd, created_at)
VALUES (?, ?, 'adw', 'Late.', 'completed', 0.5, '2020-01-01 00:00:00')
"""


async def test_no_commit_takes_more_than_a_few_hundred_rows(db, path, past, sql):
    await past(sessions=2, agents=1, prompts=300, logs=1300)
    tables = ("agents", "prompts", "agent_logs", "system_logs")

    def count() -> int:
        return sum(sql(path, f"SELECT COUNT(*) FROM {table}")[0][0] for table in tables)

    counts = [count()]
    await prune(db, timedelta(0), lambda *_: counts.append(count()))
    assert max(before - after for before, after in pairwise(counts)) == 512
    assert counts[-1] == 0


async def test_progress_ends_with_all_of_it(db, past):
    await past()
    told = list[tuple[int, int]]()
    removed = await prune(db, DAYS, lambda done, total: told.append((done, total)))
    assert told[-1] == (removed.row_count, removed.row_count)
    assert {total for _, total in told} == {removed.row_count}


async def test_children_go_before_their_parents(db, sql, path):
    """Else a sub-agent that failed would be a root, and its session would have failed, until all of it is gone and after."""
    kind = await db.orchestrator_agents.register("builder", agent_type="builder")
    old = {"started_at": datetime(2020, 1, 1, tzinfo=UTC), "completed_at": datetime(2020, 1, 2, tzinfo=UTC)}
    parent = await db.agents.create(kind.id, "wide", status="completed", **old)
    for _ in range(600):
        await db.agents.create(kind.id, "wide", status="failed", parent_agent_id=parent.id, **old)
    seen = set[Any]()
    await prune(db, DAYS, lambda *_: seen.update(sql(path, "SELECT status, agent_count, failed_count FROM sessions")))
    assert seen == {("completed", 601, 600)}
    assert (await db.sessions.get("wide")).status == "completed"
    assert await db.agents.list() == []


async def test_a_session_waits_for_those_that_its_agents_have_children_in(db, past):
    await past()
    parent, kind = (await db.agents.list(session_id="session 0"))[0], (await db.orchestrator_agents.list())[0]
    child = await db.agents.create(kind.id, "elsewhere", status="failed", parent_agent_id=parent.id)
    assert (await prune(db, DAYS)).sessions == 2
    assert (await db.agents.get(child.id)).parent_agent_id == parent.id
    assert len(await db.prompts.list(session_id="session 0")) == 10
    assert (await prune(db, timedelta(0))).sessions == 5
    assert await db.agents.list() == []


async def test_agents_that_are_their_own_ancestors_go_too(db, path, past, totals, sql):
    await past()
    first, second, *_ = [agent.id for agent in await db.agents.list(session_id="session 0")]
    sql(path, "UPDATE agents SET parent_agent_id = ? WHERE id = ?", first, second)
    sql(path, "UPDATE agents SET parent_agent_id = ? WHERE id = ?", second, first)
    before = await totals(db)
    assert (await prune(db, DAYS)).sessions == 3
    assert await totals(db) == before


async def test_two_that_prune_at_once_remove_each_session_once(db, path, past, totals):
    await past(sessions=12, agents=3, prompts=40, logs=300)
    before = await totals(db)
    async with Database.open(path) as other:
        both = await asyncio.gather(prune(db, timedelta(0)), prune(other, timedelta(0)))
    assert sum(removed.sessions for removed in both) == 12
    assert sum(removed.agents for removed in both) == 36
    assert await totals(db) == before
    assert await _faults(db) == []


async def test_old_system_logs_go(db, past):
    await past()
    await prune(db, DAYS)
    assert len(await db.system_logs.list()) == 3


async def test_leases_that_nobody_needs_go(db, path, sql):
    add = "INSERT INTO leases (id, host, process_id, process_started_at, heartbeat_at, released_at) VALUES (?, ?, ?, '', ?, ?)"
    mine = await db.leases.acquire()
    old, young = "2020-01-01 00:00:00", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    for name, beat, released in (("released", old, old), ("lost", old, None), ("used", old, old), ("recent", young, young)):
        sql(path, add, name, "elsewhere", 1, beat, released)
    sql(path, "UPDATE leases SET heartbeat_at = ? WHERE id = ?", old, mine.id)
    kind = await db.orchestrator_agents.register("builder", agent_type="builder")
    agent = await db.agents.create(kind.id, "session")
    sql(path, "UPDATE agents SET lease_id = 'used' WHERE id = ?", agent.id)
    await prune(db, timedelta(days=30))
    assert {name for (name,) in sql(path, "SELECT id FROM leases")} == {"used", "recent", mine.id}


async def test_files_that_are_gone_are_forgotten(db, path, tmp_path, sql):
    (tmp_path / "there.jsonl").touch()
    for name in (tmp_path / "there.jsonl", tmp_path / "gone.jsonl", tmp_path / "there.jsonl" / "below"):
        sql(path, "INSERT INTO source_files (path, size, modified_ns) VALUES (?, 1, 1)", str(name))
    await prune(db, timedelta(days=30))
    assert sql(path, "SELECT path FROM source_files") == [(str(tmp_path / "there.jsonl"),)]


async def test_what_was_kept_for_late_records_of_a_trace_goes(db, path, sql):
    old, young = "2020-01-01 00:00:00", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    for trace, span, received in (("old", "a", old), ("old", "b", old), ("alive", "a", old), ("alive", "b", young)):
        sql(path, "INSERT INTO spans (trace_id, span_id, details, received_at) VALUES (?, ?, '{}', ?)", trace, span, received)
    await prune(db, timedelta(days=30))
    assert sql(path, "SELECT trace_id, span_id FROM spans") == [("alive", "a"), ("alive", "b")]


@pytest.mark.parametrize("length", [timedelta(days=-1), timedelta.max])
async def test_a_senseless_age_is_refused(db, length):
    for act in (plan, prune):
        with pytest.raises(InvalidSetting):
            await act(db, length)


async def test_processes_go_on_writing_while_old_sessions_go(db, path, past, recorder, totals):
    await past(sessions=6, prompts=200, logs=2000)
    before = await db.usage.by("session")
    writers = [recorder(path, f"live {number}") for number in range(2)]
    removed = await prune(db, DAYS)
    assert removed.sessions == 3
    assert [writer.poll() for writer in writers] == [None, None]
    for writer in writers:
        writer.kill()
        writer.wait()
    assert [usage for usage in await db.usage.by("session") if "live" not in usage.group] == before
    assert await _faults(db) == []


_KILLED = """
import asyncio, os, signal, sys
from datetime import timedelta
from tac_orchestrator import Database
from tac_orchestrator.ops.retention import prune

async def main(path, steps):
    left = [int(steps)]
    def die(done, total):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    async with Database.open(path) as db:
        await prune(db, timedelta(days=2, hours=12), die)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 8])
async def test_a_killed_pruning_has_lost_nothing_and_a_second_one_finishes(db, path, past, totals, python, steps):
    await past(prompts=300, logs=700)
    before = await totals(db)
    assert python(_KILLED, path, steps).wait() == -signal.SIGKILL
    assert await totals(db) == before
    assert await _faults(db) == []
    left = await plan(db, DAYS)
    assert 0 < left.row_count < 3 * 1004 + 3
    await prune(db, DAYS)
    assert await totals(db) == before
    assert (await plan(db, DAYS)).row_count == 0
    assert await db.agents.list(session_id="session 0") == []


@pytest.mark.long
async def test_a_pruning_killed_at_any_moment_has_lost_nothing(db, path, past, totals, python):
    await past(sessions=30, prompts=300, logs=700)
    before = await totals(db)
    rounds = 0
    while (await plan(db, DAYS)).row_count:
        process = python(_KILLED, path, 10**9)
        assert await _pruned_something(db, path, process)
        process.kill()
        process.wait()
        assert await totals(db) == before
        assert await _faults(db) == []
        rounds += 1
    assert rounds > 3


async def _pruned_something(db: Database, path: os.PathLike[str], process: Any) -> bool:
    seen = await db.changes.last()
    while process.poll() is None and await db.changes.last() == seen:
        pass
    return True


async def _faults(db: Database) -> list[Any]:
    return [finding for finding in await check(db) if finding.state != "ok"]


def _since(removed: Pruning, planned: Pruning) -> Pruning:
    return replace(removed, until=planned.until)
