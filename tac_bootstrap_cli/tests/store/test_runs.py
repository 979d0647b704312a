"""Runs as blocks of code: whatever ends the block is on record, and goes on as if nobody had looked."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import (
    AgentRun,
    Database,
    DatabaseBusy,
    DatabaseUnavailable,
    InvalidTransition,
    NotFound,
    OrchestratorAgent,
    current_run,
)
from tac_orchestrator.settings import Settings

from .support import (
    MODEL,
    UNKNOWN,
    Mishap,
    be_cancelled,
    changes_of,
    connected,
    ends_cancelled,
    for_ever,
    logs_of,
    wait_for_a_turn,
)

# An agent's end


async def test_a_block_that_ends_completes_its_agent(db: Database, builder: OrchestratorAgent) -> None:
    before = datetime.now(UTC)
    async with db.agents.run(builder, session_id="issue-42", context={"a": 1}, config={"b": 2}) as run:
        working = await db.agents.get(run.id)
    agent = await db.agents.get(run.id)
    assert (working.status, working.completed_at) == ("executing", None)
    assert (agent.status, agent.error_message, agent.session_id, agent.parent_agent_id) == ("completed", None, "issue-42", None)
    assert (agent.orchestrator_agent_id, agent.context, agent.config) == (builder.id, {"a": 1}, {"b": 2})
    assert agent.completed_at
    assert before <= agent.started_at <= agent.completed_at <= datetime.now(UTC)
    assert await changes_of(db, run.id) == ["executing → completed"]


async def test_an_exception_fails_the_agent_with_its_reason_and_where_it_came_from_and_goes_on(
    db: Database, builder: OrchestratorAgent
) -> None:
    mishap = Mishap("no such file: plan.md")
    with pytest.raises(Mishap) as caught:
        async with db.agents.run(builder) as run:
            raise mishap
    assert caught.value is mishap
    agent = await db.agents.get(run.id)
    assert (agent.status, agent.error_message) == ("failed", "Mishap: no such file: plan.md")
    change, error = await logs_of(db, run.id)
    assert (change.log_level, change.message) == ("ERROR", "executing → failed")
    assert change.details == {"error": "Mishap: no such file: plan.md"}
    assert (error.log_level, error.log_type, error.message) == ("ERROR", "error", "Mishap: no such file: plan.md")
    assert error.details
    assert error.details["exception"] == "Mishap"
    assert "raise mishap" in error.details["traceback"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Mishap(), "Mishap"), (Mishap("\0\ud800"), "Mishap: ␀?"), (ExceptionGroup("two", [Mishap("a")]), "ExceptionGroup: two")],
)
async def test_any_exception_has_a_reason_that_can_be_stored(
    db: Database, builder: OrchestratorAgent, error: Exception, reason: str
) -> None:
    with pytest.raises(type(error)):
        async with db.agents.run(builder) as run:
            raise error
    assert (await db.agents.get(run.id)).error_message is not None
    assert str((await db.agents.get(run.id)).error_message).startswith(reason)


async def test_an_agent_whose_task_is_cancelled_is_cancelled(db: Database, builder: OrchestratorAgent) -> None:
    async def work() -> None:
        async with db.agents.run(builder, session_id="cancelled"):
            await be_cancelled()

    assert await ends_cancelled(work)
    agent = (await db.agents.list())[0]
    assert (agent.status, agent.error_message) == ("cancelled", "CancelledError")
    assert [(log.log_level, log.message) for log in await logs_of(db, agent.id)] == [("WARNING", "executing → cancelled")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
async def test_an_agent_that_is_interrupted_is_cancelled(
    db: Database, builder: OrchestratorAgent, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        async with db.agents.run(builder) as run:
            raise error
    assert (await db.agents.get(run.id)).status == "cancelled"


async def test_a_run_that_is_cancelled_while_it_begins_does_not_run_for_ever(
    db: Database, builder: OrchestratorAgent, path: Path
) -> None:
    async def work() -> None:
        async with db.agents.run(builder, session_id="cancelled"):
            await for_ever()

    async with db.agents.run(builder):
        pass
    with connected(path) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(work())
        await asyncio.to_thread(wait_for_a_turn, path)
        task.cancel()
        other.execute("COMMIT")
        await asyncio.wait([task])
    assert task.cancelled()
    assert [agent.status for agent in await db.agents.list(session_id="cancelled")] == ["cancelled"]


@pytest.mark.parametrize(
    ("verb", "arguments", "expected"),
    [
        ("finish", (), ("completed", None)),
        ("fail", ("It gave up.",), ("failed", "It gave up.")),
        ("cancel", ("Not needed.",), ("cancelled", "Not needed.")),
        ("cancel", (), ("cancelled", None)),
    ],
)
async def test_an_agent_may_end_before_its_block(
    db: Database, builder: OrchestratorAgent, verb: str, arguments: tuple[str, ...], expected: tuple[str, str | None]
) -> None:
    async with db.agents.run(builder) as run:
        await getattr(run, verb)(*arguments)
        await run.update(context={"after": "the end"})
        await run.log("milestone", "goes on all the same")
    agent = await db.agents.get(run.id)
    assert (agent.status, agent.error_message, agent.context) == (*expected, {"after": "the end"})


async def test_an_exception_behind_the_end_changes_nothing(db: Database, builder: OrchestratorAgent) -> None:
    async def work() -> None:
        async with db.agents.run(builder) as run:
            await run.finish()
            raise Mishap

    with pytest.raises(Mishap):
        await work()
    (run,) = await db.agents.list()
    assert (await db.agents.get(run.id)).status == "completed"


async def test_each_change_of_the_state_is_logged(db: Database, builder: OrchestratorAgent) -> None:
    async with db.agents.run(builder, status="initializing") as run:
        for status in ("planning", "executing", "reviewing", "reviewing", "executing"):
            await run.update(status=status)
    assert await changes_of(db, run.id) == [
        "initializing → planning",
        "planning → executing",
        "executing → reviewing",
        "reviewing → executing",
        "executing → completed",
    ]


async def test_a_state_that_has_ended_is_final(db: Database, builder: OrchestratorAgent) -> None:
    async with db.agents.run(builder) as run:
        await run.fail("first")
        for attempt in (run.finish, run.cancel):
            with pytest.raises(InvalidTransition) as caught:
                await attempt()
            assert (caught.value.current, caught.value.key) == ("failed", run.id)
            assert "resume" in caught.value.hint
    assert await changes_of(db, run.id) == ["executing → failed"]
    assert (await db.agents.get(run.id)).error_message == "first"


async def test_an_agent_that_somebody_else_has_ended_is_not_ended_again(db: Database, builder: OrchestratorAgent) -> None:
    with pytest.raises(InvalidTransition) as caught:
        async with db.agents.run(builder) as run:
            await db.agents.cancel(run.id, "from elsewhere")
    assert (caught.value.current, caught.value.wanted) == ("cancelled", "completed")


async def test_the_exception_of_the_block_is_not_replaced_by_one_of_the_store(
    db: Database, builder: OrchestratorAgent, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with db.agents.run(builder) as run:
            await db.agents.cancel(run.id)
            raise Mishap

    with pytest.raises(Mishap):
        await work()
    assert "the end is not recorded" in caplog.text


async def test_nor_by_one_about_a_prompt(db: Database, builder: OrchestratorAgent, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with db.agents.run(builder) as run, run.prompt("adw", text="Plan it.") as prompt:
            await db.flush()
            await db.prompts.update(prompt.id, status="cancelled")
            raise Mishap

    with pytest.raises(Mishap):
        await work()
    assert "the end is not recorded" in caplog.text


async def test_a_kind_is_named_or_given(db: Database, builder: OrchestratorAgent) -> None:
    async with db.agents.run("builder") as run:
        assert (await db.agents.get(run.id)).orchestrator_agent_id == builder.id
    with pytest.raises(NotFound) as caught:
        async with db.agents.run("painter"):
            pytest.fail("It must not begin.")
    assert "register" in caught.value.hint


# Resumed


@pytest.mark.parametrize("ending", ["completed", "failed", "cancelled"])
async def test_an_agent_that_has_ended_may_be_resumed(db: Database, builder: OrchestratorAgent, ending: str) -> None:
    async with db.agents.run(builder, session_id="issue-42") as run:
        await run.update(status=ending, error_message=None if ending == "completed" else "x")
    async with db.agents.resume(run.id) as again:
        assert (again.id, again.session_id) == (run.id, "issue-42")
        agent = await db.agents.get(run.id)
        assert (agent.status, agent.completed_at, agent.error_message) == ("executing", None, None)
    assert (await db.agents.get(run.id)).status == "completed"
    assert await changes_of(db, run.id) == [f"executing → {ending}", f"{ending} → executing", "executing → completed"]
    assert len(await db.agents.list()) == 1


@pytest.mark.parametrize(("status", "expected"), [("executing", []), ("reviewing", ["reviewing → executing"])])
async def test_an_agent_that_has_not_ended_may_be_taken_up(
    db: Database, builder: OrchestratorAgent, status: Any, expected: list[str]
) -> None:
    agent = await db.agents.create(builder.id, "session", status=status)
    async with db.agents.resume(agent.id):
        pass
    assert await changes_of(db, agent.id) == [*expected, "executing → completed"]


async def test_an_agent_that_does_not_exist_is_not_resumed(db: Database) -> None:
    with pytest.raises(NotFound):
        async with db.agents.resume(UNKNOWN):
            pytest.fail("It must not begin.")


# Within one another


async def test_a_spawned_agent_is_a_child_in_the_same_session(db: Database, builder: OrchestratorAgent) -> None:
    async with db.agents.run(builder, session_id="issue-42") as run:
        async with run.spawn(builder) as child, child.spawn("builder") as grandchild:
            assert current_run() is grandchild
        assert current_run() is run
    assert current_run() is None
    tree = await db.sessions.tree("issue-42")
    assert [(node.id, node.parent_agent_id, node.depth) for node in tree] == [
        (run.id, None, 0),
        (child.id, run.id, 1),
        (grandchild.id, child.id, 2),
    ]


async def test_children_may_run_side_by_side(db: Database, builder: OrchestratorAgent) -> None:
    async def work(run: AgentRun, number: int) -> None:
        async with run.spawn(builder, context={"number": number}) as child:
            await asyncio.sleep(0)
            assert current_run() is child

    async with db.agents.run(builder, session_id="issue-42") as run, asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(work(run, number))
    children = await db.agents.list(parent_agent_id=run.id)
    assert {(child.session_id, child.status) for child in children} == {("issue-42", "completed")}
    assert sorted(child.context["number"] for child in children if child.context) == list(range(8))


@pytest.mark.parametrize(("code", "ending"), [(None, "completed"), (0, "completed"), (3, "failed"), ("no plan", "failed")])
async def test_a_script_that_exits_ends_as_its_code_says(
    db: Database, builder: OrchestratorAgent, code: int | str | None, ending: str
) -> None:
    with pytest.raises(SystemExit):
        async with db.agents.run(builder, session_id="issue-42"):
            raise SystemExit(code)

    assert [ending] == [agent.status for agent in await db.agents.list(session_id="issue-42")]


async def test_a_child_s_failure_that_is_caught_leaves_its_parent_well(db: Database, builder: OrchestratorAgent) -> None:
    async with db.agents.run(builder, session_id="issue-42") as run:
        with pytest.raises(Mishap):
            async with run.spawn(builder):
                raise Mishap
    assert [node.status for node in await db.sessions.tree("issue-42")] == ["completed", "failed"]


async def test_a_run_inside_another_is_its_child(db: Database, builder: OrchestratorAgent) -> None:
    async with (
        db.agents.run(builder, session_id="issue-42") as outer,
        db.agents.run(builder) as joined,
        db.agents.run(builder, session_id="another") as apart,
    ):
        pass
    assert (await db.agents.get(joined.id)).parent_agent_id == outer.id
    agent = await db.agents.get(apart.id)
    assert (agent.parent_agent_id, agent.session_id) == (None, "another")


async def test_a_run_of_another_store_is_no_parent(db: Database, builder: OrchestratorAgent, tmp_path: Path) -> None:
    async with Database.open(tmp_path / "other.db") as other, db.agents.run(builder) as outer:
        await other.orchestrator_agents.register("builder", agent_type="builder")
        async with other.agents.run("builder") as run:
            assert run.session_id != outer.session_id
        assert (await other.agents.get(run.id)).parent_agent_id is None


async def test_without_a_session_each_run_begins_one(db: Database, builder: OrchestratorAgent) -> None:
    async with db.agents.run(builder) as first:
        pass
    async with db.agents.run(builder) as second:
        pass
    assert first.session_id != second.session_id


@pytest.mark.parametrize(
    ("asked_for", "expected"), [(None, ("issue-42", True)), ("issue-42", ("issue-42", True)), ("other", ("other", False))]
)
async def test_a_run_joins_the_session_and_the_agent_that_the_environment_names(
    path: Path, monkeypatch: pytest.MonkeyPatch, asked_for: str | None, expected: tuple[str, bool]
) -> None:
    async with Database.open(path) as db:
        await db.orchestrator_agents.register("builder", agent_type="builder")
        async with db.agents.run("builder", session_id="issue-42") as parent:
            pass
    monkeypatch.setenv("TAC_ORCHESTRATOR_SESSION_ID", "issue-42")
    monkeypatch.setenv("TAC_ORCHESTRATOR_AGENT_ID", parent.id)
    async with Database.open(path) as db:
        async with db.agents.run("builder", session_id=asked_for) as run:
            pass
        agent = await db.agents.get(run.id)
    assert (agent.session_id, agent.parent_agent_id) == (expected[0], parent.id if expected[1] else None)


async def test_a_block_may_be_left_in_another_task_than_it_was_entered_in(db: Database, builder: OrchestratorAgent) -> None:
    stack = AsyncExitStack()
    run = await asyncio.create_task(stack.enter_async_context(db.agents.run(builder)))
    await asyncio.create_task(stack.aclose())
    assert (await db.agents.get(run.id)).status == "completed"


# Logs


async def test_an_agent_logs(db: Database, builder: OrchestratorAgent) -> None:
    async with db.agents.run(builder) as run:
        await run.log("milestone", "plan written", log_level="DEBUG", details={"path": "plan.md"})
        run.log_soon("performance", "fast")
        await db.flush()
    first, second, _ = await logs_of(db, run.id)
    assert (first.message, first.log_type, first.log_level) == ("plan written", "milestone", "DEBUG")
    assert (first.details, second.message) == ({"path": "plan.md"}, "fast")


# A decorator


async def test_a_recorded_function_is_a_run_for_each_call(db: Database) -> None:
    @db.recorded("planner", agent_type="planner", session_id="issue-42")
    async def plan(number: int) -> int:
        """Plans."""
        return await build(number) + 1

    @db.recorded("builder", agent_type="builder")
    async def build(number: int) -> int:
        return 10 * number

    assert [await plan(1), await plan(number=2)] == [11, 21]
    assert (plan.__name__, plan.__doc__) == ("plan", "Plans.")
    tree = await db.sessions.tree("issue-42")
    assert [(node.name, node.depth, node.status) for node in tree] == [
        ("planner", 0, "completed"),
        ("builder", 1, "completed"),
    ] * 2


async def test_a_recorded_function_that_raises_is_a_failed_run(db: Database) -> None:
    @db.recorded("planner")
    async def plan() -> None:
        raise Mishap("no plan")

    with pytest.raises(Mishap):
        await plan()
    assert [(agent.status, agent.error_message) for agent in await db.agents.list()] == [("failed", "Mishap: no plan")]


# Forgiving


async def everything(db: Database) -> str:
    """All that a run can record, and what an agent's work gives."""
    await db.agents.recorder.attempt(db.orchestrator_agents.register("builder", agent_type="builder"))
    async with db.agents.run("builder") as run:
        await run.log("milestone", "begun")
        run.log_soon("milestone", "going on")
        async with run.prompt("adw", text="Plan\0 it.", model=MODEL) as prompt:
            await asyncio.sleep(0)
            prompt.answer("Done.\ud800", tokens_input=1, tokens_output=1)
        async with run.prompt("adw", text="And now?") as prompt:
            prompt.answer("Done.")
            prompt.answer("Done again.")
        async with run.spawn("builder") as child:
            await child.fail("It gave up.")
            await child.finish()
        await run.update(status="reviewing", nonsense=1)
    return "worked"


async def test_a_store_that_cannot_be_opened_does_not_stop_a_forgiving_program(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Database.open(tmp_path, forgiving=True) as db:
        assert await everything(db) == "worked"
        with pytest.raises(Mishap):
            async with db.agents.run("builder"):
                raise Mishap
        assert db.dropped == 1
    assert "nothing will be recorded" in caplog.text
    with pytest.raises(DatabaseUnavailable):
        async with Database.open(tmp_path):
            pytest.fail("It must not open.")


async def test_a_store_that_is_held_by_others_does_not_stop_a_forgiving_program(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(Settings(str(path)), busy_timeout_s=0.01)
    async with Database(settings, forgiving=True) as db, Database(settings) as strict:
        await db.orchestrator_agents.register("builder", agent_type="builder")
        with connected(path) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await everything(db) == "worked"
            with pytest.raises(DatabaseBusy):
                await everything(strict)
    assert "not recorded" in caplog.text


async def test_a_forgiving_program_s_mistakes_are_recorded_as_well_as_they_can_be(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Database.open(path, forgiving=True) as db:
        assert await everything(db) == "worked"
        child, run = await db.agents.list()
        assert (child.status, child.error_message, run.status) == ("failed", "It gave up.", "completed")
        second, first = await db.prompts.list()
        assert (first.prompt_text, first.response_text) == ("Plan␀ it.", "Done.?")
        assert (second.response_text, second.status) == ("Done.", "completed")
    for mistake in ("nonsense", "has ended as 'failed'", "has ended as 'completed'"):
        assert mistake in caplog.text
