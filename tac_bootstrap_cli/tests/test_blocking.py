"""The store for programs without an event loop: the same names, the same rows, and no loop to be seen."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import AlreadyExists, Database, DatabaseUnavailable, InvalidRecord, NotFound, current_run
from tac_orchestrator.blocking import open_database


@pytest.fixture
def sync(path: Path) -> Generator[Any]:
    with open_database(path) as database:
        yield database


def program(text: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run it to its end, which must come by itself."""
    command = [sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_run_its_prompts_and_its_children_are_with_blocks(sync: Any) -> None:
    planner = sync.orchestrator_agents.register("planner", agent_type="planner")
    builder = sync.orchestrator_agents.register("builder", agent_type="builder")
    with sync.agents.run(planner, session_id="issue-42") as agent:
        with agent.prompt("adw", name="plan", text="Plan it.", model="claude-opus-5-5") as prompt:
            assert prompt.prompt_text == "Plan it."
            prompt.answer("Planned.", tokens_input=1000, tokens_output=100)
        agent.log("milestone", "plan written", details={"path": "plan.md"})
        agent.log_soon("milestone", "posted")
        with agent.spawn(builder) as child:
            child.log("tool_call", "pytest")
    sync.flush()
    assert {node.id: node.parent_agent_id for node in sync.sessions.tree("issue-42")} == {agent.id: None, child.id: agent.id}
    assert [str(row.cost_usd) for row in sync.prompts.list(agent_id=agent.id)] == ["0.006"]
    assert {row.message for row in sync.agent_logs.list(agent_id=agent.id)} >= {"plan written", "posted"}
    assert {row.status for row in sync.agents.list()} == {"completed"}


def test_it_has_everything_that_the_store_has(sync: Any) -> None:
    names = [name for name in (*vars(Database), *dir(sync._live)) if not name.startswith("_")]
    assert "agents" in names
    assert "transaction" in names
    for name in names:
        getattr(sync, name)


def test_a_run_within_a_run_is_its_child(sync: Any) -> None:
    sync.orchestrator_agents.register("planner", agent_type="planner")
    with sync.agents.run("planner") as outer:
        assert current_run() is outer._live
        with sync.agents.run("planner") as inner:
            pass
    assert current_run() is None
    assert sync.agents.get(inner.id).parent_agent_id == outer.id
    assert inner.session_id == outer.session_id


def test_an_exception_fails_the_run_and_goes_on(sync: Any) -> None:
    sync.orchestrator_agents.register("planner", agent_type="planner")
    with (
        pytest.raises(ZeroDivisionError) as caught,
        sync.agents.run("planner") as agent,
        agent.prompt("adw", text="x") as prompt,
    ):
        _ = 1 / 0
    row = sync.agents.get(agent.id)
    assert (row.status, row.error_message) == ("failed", "ZeroDivisionError: division by zero")
    assert sync.prompts.get(prompt.id).status == "failed"
    assert caught.traceback[0].path == Path(__file__)


def test_an_interruption_cancels_the_run_and_goes_on(sync: Any) -> None:
    sync.orchestrator_agents.register("planner", agent_type="planner")
    with pytest.raises(KeyboardInterrupt), sync.agents.run("planner") as agent:
        raise KeyboardInterrupt
    assert sync.agents.get(agent.id).status == "cancelled"


def test_errors_are_those_of_the_store(sync: Any) -> None:
    sync.orchestrator_agents.create("planner", agent_type="planner")
    with pytest.raises(AlreadyExists):
        sync.orchestrator_agents.create("planner", agent_type="planner")
    with pytest.raises(NotFound), sync.agents.run("nobody"):
        pytest.fail("the block is not entered")
    with pytest.raises(InvalidRecord):
        sync.system_logs.create("api", "x", log_level="LOUD")
    with pytest.raises(AttributeError, match="nonsense"):
        _ = sync.nonsense


def _write_one_good_and_one_bad(sync: Any) -> None:
    with sync.transaction() as together:
        together.system_logs.create("api", "good")
        together.system_logs.create("", "bad")


def test_a_transaction_is_a_with_block(sync: Any) -> None:
    with sync.transaction() as together:
        together.system_logs.create("api", "one")
        together.system_logs.create("api", "two")
        assert sync.system_logs.list() == []
    assert len(sync.system_logs.list()) == 2
    with pytest.raises(InvalidRecord):
        _write_one_good_and_one_bad(sync)
    assert len(sync.system_logs.list()) == 2


def test_an_async_iteration_is_an_iteration(sync: Any) -> None:
    sync.system_logs.create("api", "found")
    assert [progress.done for progress in sync.search.catch_up()]
    assert len(sync.search.find("found")) == 1


def test_a_decorated_function_is_a_run_and_one_that_it_calls_its_child(sync: Any) -> None:
    @sync.recorded("builder", agent_type="builder")
    def build(part: str) -> str:
        """Builds a part."""
        return part.upper()

    @sync.recorded("planner", agent_type="planner", session_id="issue-42")
    def plan() -> str:
        return build("roof")

    assert plan() == "ROOF"
    assert (build.__name__, build.__doc__) == ("build", "Builds a part.")
    child, parent = sync.agents.list(session_id="issue-42")
    assert child.parent_agent_id == parent.id


async def _later() -> None: ...


def _bit_by_bit() -> Iterator[int]:
    yield 1


async def _bit_by_bit_later() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [_later, _bit_by_bit, _bit_by_bit_later])
def test_a_function_that_works_after_it_has_returned_is_no_run(sync: Any, function: Any) -> None:
    with pytest.raises(InvalidRecord, match="after it has returned") as caught:
        sync.recorded("builder")(function)
    assert "`with db.agents.run(…)`" in caught.value.hint


def test_several_threads_record_at_once(sync: Any) -> None:
    sync.orchestrator_agents.register("builder", agent_type="builder")

    def work(number: int) -> str:
        with sync.agents.run("builder", session_id=f"session-{number}") as agent:
            for step in range(5):
                agent.log("milestone", f"{number}.{step}")
            assert current_run() is agent._live
        return agent.id

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(work, range(24)))
    for number, key in enumerate(ids):
        logs = [row.message for row in sync.agent_logs.list(agent_id=key, log_type="milestone")]
        assert logs[::-1] == [f"{number}.{step}" for step in range(5)]
    assert {row.parent_agent_id for row in sync.agents.list()} == {None}


def test_leaving_the_block_ends_its_threads(path: Path) -> None:
    before = set(threading.enumerate())
    with open_database(path) as db:
        db.system_logs.create("api", "x")
    assert set(threading.enumerate()) - before == set()


def test_a_store_that_has_been_closed_says_so(path: Path) -> None:
    with open_database(path) as db:
        db.orchestrator_agents.register("planner", agent_type="planner")
        logs = db.system_logs
        with db.agents.run("planner") as agent:
            pass
        unused = db.agents.run("planner")
    for use in (lambda: db.agents, lambda: logs.create("api", "x"), lambda: agent.id, unused.__enter__):
        with pytest.raises(DatabaseUnavailable, match="has been closed") as caught:
            use()
        assert caught.value.hint


def test_a_store_is_not_sent_to_another_process(sync: Any) -> None:
    for sent in (sync, sync._live, sync.agents):
        with pytest.raises(DatabaseUnavailable, match="cannot be sent") as caught:
            pickle.dumps(sent)
        assert "open the store there" in caught.value.hint


def test_after_a_fork_the_store_is_the_parent_s_and_nobody_waits_for_ever(path: Path) -> None:
    done = program(
        "import os, sys; from tac_orchestrator import DatabaseUnavailable, blocking\n"
        "with blocking.open_database(sys.argv[1]) as db:\n"
        "    db.orchestrator_agents.register('planner', agent_type='planner')\n"
        "    with db.agents.run('planner') as agent:\n"
        "        child = os.fork()\n"
        "        if child == 0:\n"
        "            try:\n"
        "                agent.log('milestone', 'of the child')\n"
        "            except DatabaseUnavailable as error:\n"
        "                print(error.hint, flush=True)\n"
        "        else:\n"
        "            assert os.waitpid(child, 0)[1] == 0\n"
        "            agent.log('milestone', 'of the parent')\n",
        path,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("Open it again after the fork.\n", "", 0)
    with open_database(path) as db:
        assert [row.status for row in db.agents.list()] == ["completed"]
        assert [row.message for row in db.agent_logs.list(log_type="milestone")] == ["of the parent"]


def test_a_store_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    (tmp_path / "broken.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(Exception, match=r"broken\.db"), open_database(tmp_path / "broken.db"):
        pytest.fail("the block is not entered")
    assert set(threading.enumerate()) - before == set()


def test_a_program_that_ends_within_the_block_ends_and_keeps_its_logs(path: Path) -> None:
    done = program(
        "import sys; from tac_orchestrator import blocking\n"
        "kept = blocking.open_database(sys.argv[1])\n"
        "db = kept.__enter__()\n"
        "db.orchestrator_agents.register('planner', agent_type='planner')\n"
        "run = db.agents.run('planner', session_id='issue-42')\n"
        "agent = run.__enter__()\n"
        "agent.log_soon('milestone', 'posted')\n",
        path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with open_database(path) as db:
        assert "posted" in [row.message for row in db.agent_logs.list()]


def test_a_program_that_exits_within_the_block_keeps_its_exit_code(path: Path) -> None:
    done = program(
        "import sys; from tac_orchestrator import blocking\n"
        "with blocking.open_database(sys.argv[1]) as db:\n"
        "    db.system_logs.create('api', 'x')\n"
        "    sys.exit(3)\n",
        path,
    )
    assert (done.returncode, done.stderr) == (3, "")


def test_control_c_cancels_the_run_of_a_waiting_program(path: Path) -> None:
    text = (
        "import sys, threading; from tac_orchestrator import blocking\n"
        "with blocking.open_database(sys.argv[1]) as db:\n"
        "    db.orchestrator_agents.register('planner', agent_type='planner')\n"
        "    with db.agents.run('planner') as agent:\n"
        "        print('ready', flush=True)\n"
        "        threading.Event().wait()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", text, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    with open_database(path) as db:
        assert [row.status for row in db.agents.list()] == ["cancelled"]


def test_a_forgiving_store_never_breaks_the_work(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"no database at all" * 1000)
    with open_database(tmp_path / "broken.db", forgiving=True) as db, db.agents.run("planner") as agent:
        agent.log("milestone", "lost")
        with agent.prompt("adw", text="x") as prompt:
            prompt.answer("y")


def test_importing_it_loads_neither_the_price_table_nor_the_terminal_nor_the_server() -> None:
    done = program("import sys, tac_orchestrator.blocking; print(*sorted({name.partition('.')[0] for name in sys.modules}))")
    loaded = set(done.stdout.split())
    assert loaded & {"genai_prices", "rich", "click", "fastapi", "watchfiles", "trio"} == set()
    assert "anyio" in loaded
