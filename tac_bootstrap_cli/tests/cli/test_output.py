from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from tac_orchestrator import Database
from tac_orchestrator.cli.output import short_ids
from tac_orchestrator.testing import make_agent

from .support import Caller

EVIL = "\x1b[31mred\x1b[0m \x1b]0;owned\x07 \x9b2J \u202eevil\u2069 \r\n\x07"

COMMANDS = (
    ("status",),
    ("sessions",),
    ("show", "evil"),
    ("show", "AGENT"),
    ("show", "PROMPT"),
    ("show", "LOG"),
    ("prompts",),
    ("logs",),
    ("logs", "--system"),
    ("tail",),
    ("cost", "--by", "model"),
    ("cost", "--by", "session"),
    ("search", "owned"),
    ("query", 'SELECT message AS "a\x1b[2Jb" FROM agent_logs'),
)


@pytest.fixture
def evil(target: Path | str) -> dict[str, str]:
    """Harmful signs wherever text can be stored. Returns what the ids in COMMANDS stand for."""
    return asyncio.run(_record_evil(target))


async def _record_evil(target: Path | str) -> dict[str, str]:
    async with Database.open(target) as db:
        agent = await make_agent(db, f"a{EVIL}", session_id=f"evil{EVIL}", context={EVIL: EVIL}, config={"c": EVIL})
        answer = {"status": "completed", "response_text": EVIL, "model_used": EVIL, "tokens_input": 1, "tokens_output": 1}
        prompt = await db.prompts.create(agent.id, "adw", EVIL, prompt_name=EVIL, details={"d": EVIL}, **answer)
        details = {"traceback": EVIL, "output": EVIL, EVIL: f"{EVIL}\n"}
        log = await db.agent_logs.create(agent.id, "error", EVIL, log_level="ERROR", details=details)
        await db.system_logs.create(EVIL, EVIL)
        running = await make_agent(db, f"a{EVIL}", session_id=f"evil{EVIL}", parent_agent_id=agent.id)
        await db.agents.fail(agent.id, EVIL)
        assert running.status == "initializing"
    return {"AGENT": agent.id, "PROMPT": prompt.id, "LOG": str(log)}


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("form", ["pipe", "terminal", "json"])
def test_stored_text_cannot_command_a_terminal(
    call: Caller, evil: dict[str, str], arguments: tuple[str, ...], form: str
) -> None:
    given = [evil.get(argument, argument) for argument in arguments]

    result = call(*given, *(["--json"] if form == "json" else []), columns=400 if form == "terminal" else None)

    assert result.code == 0, result.err
    ours = result.plain if form == "terminal" else result.out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066-\u2069]", ours)
    assert "evil" in result.out or arguments[0] == "status" or "a\\x1b" in result.out


@pytest.mark.parametrize("arguments", COMMANDS[1:-1], ids=" ".join)
def test_the_colors_of_a_terminal_are_ours_alone(call: Caller, evil: dict[str, str], arguments: tuple[str, ...]) -> None:
    given = [evil.get(argument, argument) for argument in arguments]

    assert r"\x1b" in call(*given, columns=400).out.replace("\x1b[31mred", "")


@pytest.mark.parametrize("columns", [20, 40, 80, 140])
@pytest.mark.parametrize(
    "arguments", [("sessions",), ("prompts",), ("logs",), ("logs", "--system"), ("cost",), ("show", "issue-42")]
)
def test_a_terminal_gets_lines_that_fit(call: Caller, store: Path | str, arguments: tuple[str, ...], columns: int) -> None:
    out = call(*arguments, columns=columns).plain

    table = out[out.index("\n\n") :] if arguments[0] == "show" else out
    assert max(map(len, table.splitlines())) <= columns


def test_two_long_columns_share_the_room(call: Caller, path: Path) -> None:
    asyncio.run(_log(path, "long " * 100, session_id="s" * 100))

    header, line = call("search", "long", columns=160).plain.splitlines()

    session, excerpt = line[header.index("SESSION") :].split("  ", 1)
    assert abs(len(session) - len(excerpt)) <= 1


def test_a_terminal_gets_colors_unless_it_says_no(call: Caller, store: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[31mfailed" in call("sessions", columns=100).out
    assert "\x1b" not in call("sessions").out

    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in call("sessions", columns=100).out

    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in call("sessions", columns=100).out


def test_a_pipe_gets_whole_lines_without_drawings(call: Caller, target: Path | str) -> None:
    message = "long " * 100
    asyncio.run(_log(target, message))

    out = call("logs").out

    assert message.strip() in out
    assert len(out.splitlines()) == 2
    assert not re.search(r"[─-╿…]", call("show", "session").out)


async def _log(target: Path | str, *messages: str, session_id: str = "session") -> None:
    async with Database.open(target) as db:
        agent = await make_agent(db, session_id=session_id)
        await db.agent_logs.create_many(
            {"agent_id": agent.id, "log_type": "milestone", "message": message} for message in messages
        )


def test_columns_of_a_pipe_stand_below_each_other(call: Caller, store: Path | str) -> None:
    header, *lines = call("sessions").out.splitlines()

    assert all(line[header.index("STATUS") :].startswith(("completed", "failed")) for line in lines)
    assert {len(line) for line in lines} == {len(header)}


@pytest.mark.parametrize("columns", [None, 80])
def test_wide_signs_take_two_cells(call: Caller, target: Path | str, columns: int | None) -> None:
    asyncio.run(_sessions(target, "日本語", "plain", "🙂"))

    lines = call("sessions", columns=columns).plain.splitlines()[1:]

    before_state = [line.partition("running")[0] for line in lines]
    assert {cell_len(text) for text in before_state} == {len("SESSION  ")}


async def _sessions(target: Path | str, *names: str) -> None:
    async with Database.open(target) as db:
        for name in names:
            await make_agent(db, session_id=name)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("columns", [None, 80])
@pytest.mark.parametrize("arguments", [("show", "issue-42"), ("logs",), ("prompts",), ("search", "parser")])
def test_no_encoding_stops_the_output(
    call: Caller, store: Path | str, arguments: tuple[str, ...], columns: int | None, encoding: str
) -> None:
    result = call(*arguments, columns=columns, encoding=encoding)

    assert (result.code, result.err if columns is None else "") == (0, "")
    assert ("→" in result.out) is (arguments == ("logs",) and encoding == "utf-8")


def test_ten_thousand_rows_are_a_page(call: Caller, target: Path | str) -> None:
    asyncio.run(_log(target, *(f"message {number}" for number in range(10_000))))

    in_pipe, on_terminal = call("logs", "--limit", "10000"), call("logs", "--limit", "10000", columns=80)

    assert len(in_pipe.out.splitlines()) == len(on_terminal.out.splitlines()) == 10_001
    assert len(call("logs", "--limit", "10000", "--json").json) == 10_000
    assert "There may be more: --before 1" in on_terminal.err
    assert in_pipe.err == ""


@pytest.mark.parametrize(
    "arguments", [("sessions",), ("prompts",), ("logs",), ("logs", "--system"), ("tail",), ("cost",), ("search", "word")]
)
def test_an_empty_store_has_empty_lists(call: Caller, target: Path | str, arguments: tuple[str, ...]) -> None:
    asyncio.run(_sessions(target))

    people, programs = call(*arguments), call(*arguments, "--json")

    assert (people.code, people.out) == (0, "")
    assert (programs.code, programs.json) == (0, [])


def test_ids_are_short_where_they_differ() -> None:
    first, second = "019aa2f4-7b1c-7aaa-8000-000000000000", "019aa2f4-7b1c-7bbb-8000-000000000000"

    assert short_ids([first]) == ["019aa2f4-7b1c"]
    assert short_ids([first, second]) == [first[:18], second[:18]]
    assert short_ids([first, first]) == [first[:13], first[:13]]
    assert short_ids(["evt", "evt"]) == ["evt", "evt"]
