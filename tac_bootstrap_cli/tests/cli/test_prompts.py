from __future__ import annotations

from pathlib import Path

from .support import Caller


def texts(call: Caller, *arguments: str) -> list[str]:
    return [prompt["prompt_text"] for prompt in call("prompts", "--json", *arguments).json]


def test_the_newest_come_first_and_filters_compose(call: Caller, store: Path | str) -> None:
    builder = call("show", "issue-41", "--json").json["agents"][1]["id"]

    assert texts(call) == ["Again.", "Build it.", "Plan the parser.\nThen stop."] * 2
    assert texts(call, "--session", "issue-41", "--type", "command") == ["Build it."]
    assert texts(call, "--agent", builder) == ["Again.", "Build it."]
    assert texts(call, "--agent", builder[:23]) == ["Again.", "Build it."]
    assert texts(call, "--model", "m1") == ["Build it."] * 2
    assert texts(call, "--status", "failed") == []
    assert texts(call, "--since", "1h", "--limit", "1") == ["Again."]
    assert texts(call, "--until", "1h") == []


def test_what_is_unknown_is_null(call: Caller, store: Path | str) -> None:
    prompt = call("prompts", "--json", "--limit", "1").json[0]

    assert prompt["cost_usd"] is None
    assert prompt["cost_source"] == "unknown"
    assert call("prompts", "--json", "--model", "m1").json[0]["cost_usd"] == "0.25"


def test_the_next_page_begins_behind_the_last_row(call: Caller, store: Path | str) -> None:
    first = call("prompts", "--limit", "2", columns=100)
    last = call("prompts", "--limit", "2", "--json").json[-1]["id"]

    assert f"--before {last}" in first.err
    assert texts(call, "--limit", "2", "--before", last) == texts(call)[2:4]


def test_a_row_is_one_line(call: Caller, store: Path | str) -> None:
    rows = call("prompts", "--type", "adw").out.splitlines()

    assert len(rows) == 3
    assert rows[1].endswith(r"Plan the parser.\nThen stop.")
    assert "  planner  adw   plan  completed  claude-sonnet-4-5  48112     924  0.074496  " in rows[1]
