from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tac_orchestrator import Database
from tac_orchestrator.cli.show import tree_guides
from tac_orchestrator.testing import make_agent, make_prompt

from .support import Caller


def test_a_session_is_a_tree_with_the_error_where_it_failed(call: Caller, store: Path | str) -> None:
    lines = call("show", "issue-42", columns=140).plain.splitlines()

    assert lines[:2] == ["Session  issue-42", "Status   failed"]
    assert lines[3:7] == [
        "Agents   3 agents, 3 failed",
        "Prompts  3 prompts",
        "Tokens   48,922 in (31,000 from cache), 1,129 out",
        "Cost     $0.3245, without 1 prompt of unknown price",
    ]
    names = ("planner", "└─ builder", "   └─ tester")
    assert [line.index(name) for line, name in zip(lines[9::2], names, strict=True)] == [0] * 3
    assert [line.index("error: ") for line in lines[10::2]] == [2, 5, 8]
    assert lines[-1] == r"        error: RuntimeError: 3 tests failed\nin test_parser.py"


def test_in_a_pipe_the_error_stands_in_the_line_of_its_agent(call: Caller, store: Path | str) -> None:
    table = call("show", "issue-42").out.split("\n\n")[1].splitlines()

    assert [line[:12] for line in table] == ["AGENT       ", "planner     ", "  builder   ", "    tester  "]
    assert all(line.endswith(r"RuntimeError: 3 tests failed\nin test_parser.py") for line in table[1:])


def test_a_session_in_json_has_its_agents(call: Caller, store: Path | str) -> None:
    session = call("show", "issue-42", "--json").json

    assert (session["kind"], session["session_id"], session["cost_usd"]) == ("session", "issue-42", "0.324496")
    assert [(agent["depth"], agent["name"], agent["status"]) for agent in session["agents"]] == [
        (0, "planner", "failed"),
        (1, "builder", "failed"),
        (2, "tester", "failed"),
    ]
    assert session["agents"][1]["parent_agent_id"] == session["agents"][0]["id"]


def test_an_agent_has_its_prompts_and_logs_in_the_order_of_time(call: Caller, store: Path | str) -> None:
    id = call("show", "issue-41", "--json").json["agents"][1]["id"]

    agent, people = call("show", id, "--json").json, call("show", id).out

    assert (agent["kind"], agent["name"], agent["agent_type"], agent["cost_usd"]) == ("agent", "builder", "builder", "0.25")
    assert [prompt["prompt_text"] for prompt in agent["prompts"]] == ["Build it.", "Again."]
    assert [log["message"] for log in agent["logs"]] == ["built for issue-41", "executing → completed"]
    assert people.startswith(f"Agent    builder (builder), {id}\nSession  issue-41\nParent   planner, ")
    assert people.index("\nPrompts\n") < people.index("Build it.") < people.index("\nLogs\n") < people.index("built for")
    assert len(call("show", id, "--json", "--limit", "1").json["logs"]) == 1


def test_what_is_left_out_of_an_agent_is_said(call: Caller, store: Path | str) -> None:
    id = call("show", "issue-41", "--json").json["agents"][1]["id"]

    some, all = call("show", id, "--limit", "1").out, call("show", id).out

    assert "Build it." not in some
    assert "\nPrompts (the last 1; --limit shows more)\n" in some
    assert "\nLogs (the last 1; --limit shows more)\n" in some
    assert "--limit" not in all


def test_where_an_agent_failed_is_shown(call: Caller, store: Path | str) -> None:
    id = call("show", "issue-42", "--json").json["agents"][2]["id"]

    out = call("show", id).out

    assert "Status   failed\nError    RuntimeError: 3 tests failed\\nin test_parser.py\n" in out
    assert "\nTraceback\n  Traceback (most recent call last):\n" in out
    assert "\n  RuntimeError: 3 tests failed\n  in test_parser.py\n" in out


def test_a_prompt_has_its_texts_and_where_its_cost_comes_from(call: Caller, store: Path | str) -> None:
    known, reported, unknown = (
        call("prompts", "--model", model, "--limit", "1", "--json").json[0]["id"]
        for model in ("claude-sonnet-4-5", "m1", "of nobody")
    )

    out = call("show", known).out

    assert "Type     adw, plan\nModel    claude-sonnet-4-5\nStatus   completed\n" in out
    assert "Tokens   48,112 in (31,000 from cache), 924 out\n" in out
    assert "Cost     $0.074496 (priced: genai-prices " in out
    assert out.endswith("\n\nRequest\n  Plan the parser.\n  Then stop.\n\nAnswer\n  Read, then write.\n")
    assert "Cost     $0.25 (reported)\n" in call("show", reported).out
    assert "Cost     - (unknown: genai-prices " in call("show", unknown).out
    assert call("show", known, "--json").json["agent_name"] == "planner"


def test_a_log_that_was_found_has_its_details(call: Caller, store: Path | str) -> None:
    *_, found = call("search", "traceback", "--json").json

    log, out = call("show", found["id"], "--json").json, call("show", found["id"]).out

    assert (log["kind"], log["agent_name"], log["session_id"], log["id"]) == (
        "agent_log",
        "tester",
        "issue-42",
        int(found["id"]),
    )
    assert out.startswith(f"Log      {found['id']}\nAgent    tester, {log['agent_id']}\nSession  issue-42\nType     error\n")
    assert "\n\nMessage\n  RuntimeError: 3 tests failed\n  in test_parser.py\n\nTraceback\n  Traceback (most recent" in out


def test_a_number_is_that_of_a_log_unless_a_session_is_called_so(call: Caller, target: Path | str) -> None:
    asyncio.run(_record_numbers(target))

    assert call("show", "1", "--json").json["kind"] == "agent_log"
    assert call("show", "2", "--json").json["kind"] == "session"
    assert call("show", "3", "--json").json["kind"] == "prompt"
    assert call("show", "9" * 30).code == 3


async def _record_numbers(target: Path | str) -> None:
    async with Database.open(target) as db:
        agent = await make_agent(db, session_id="2")
        for id in ("1", "2", "3"):
            await make_prompt(db, agent, id=f"{id}bbb0000-0000-4000-8000-000000000000")
        await db.agent_logs.create_many({"agent_id": agent.id, "log_type": "milestone", "message": "done"} for _ in range(2))


def test_the_beginning_of_an_id_is_enough(call: Caller, target: Path | str) -> None:
    asyncio.run(_record_ids(target))

    assert call("show", "aaaa", "--json").json["kind"] == "agent"
    assert call("show", "AAAA0000-0000", "--json").json["kind"] == "agent"
    assert call("show", "bbbb", "--json").json["kind"] == "prompt"
    assert call("show", "issue-4", "--json").json["session_id"] == "issue-4"
    assert call("show", "issue-42", "--json").json["session_id"] == "issue-42"
    assert call("show", "is", "--json").code == 2
    assert len(call("prompts", "--agent", "aaaa", "--json").json) == 2
    assert call("prompts", "--agent", "aaaa", "--before", "cccc", "--json").json[0]["id"].startswith("bbbb")


@pytest.mark.parametrize("key", ["cccc", "cccc0000-0000-4000-8000-00000000000"])
def test_a_beginning_of_several_ids_is_refused(call: Caller, target: Path | str, key: str) -> None:
    asyncio.run(_record_ids(target))

    result = call("show", key)

    assert result.code == 2
    assert "agent cccc0000-0000-4000-8000-000000000001, prompt cccc0000-0000-4000-8000-000000000002" in result.err


async def _record_ids(target: Path | str) -> None:
    async with Database.open(target) as db:
        first = await make_agent(db, session_id="issue-4", id="aaaa0000-0000-4000-8000-000000000000")
        await make_agent(db, session_id="issue-42", id="cccc0000-0000-4000-8000-000000000001")
        await make_prompt(db, first, id="bbbb0000-0000-4000-8000-000000000000")
        await make_prompt(db, first, id="cccc0000-0000-4000-8000-000000000002")


@pytest.mark.parametrize("key", ["", "%", "nobody", "ffffffff", "-", "*"])
def test_what_does_not_exist_is_not_found(call: Caller, store: Path | str, key: str) -> None:
    assert call("show", "--", key).code == (2 if key == "" else 3)


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("--session", "nobody", "`tac-orch sessions` lists what there is."),
        ("--agent", "tester", "It is named by its id: `tac-orch show SESSION` lists the agents of a session."),
        ("--before", "nobody", "`tac-orch prompts` lists what there is."),
    ],
)
def test_where_it_could_be_found_is_said(call: Caller, store: Path | str, option: str, value: str, hint: str) -> None:
    result = call("prompts", option, value)

    assert (result.code, result.err.splitlines()[1]) == (3, f"Try: {hint}")


def test_the_lines_of_a_tree_join_what_belongs_together() -> None:
    depths = [0, 1, 2, 2, 1, 2, 0, 1]

    assert tree_guides(depths, drawn=True) == ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ ", "   └─ ", "", "└─ "]
    assert tree_guides(depths, drawn=False) == ["", "  ", "    ", "    ", "  ", "    ", "", "  "]


def test_a_deep_tree_keeps_its_names_in_sight(call: Caller, target: Path | str) -> None:
    asyncio.run(_nest(target, 60))

    lines = call("show", "session", columns=100).plain.splitlines()[-60:]

    assert all("builder" in line for line in lines)
    assert max(map(len, lines)) <= 100


async def _nest(target: Path | str, depth: int) -> None:
    async with Database.open(target) as db:
        parent = None
        for _ in range(depth):
            parent = (await make_agent(db, parent_agent_id=parent)).id
