from __future__ import annotations

from pathlib import Path

import pytest

from .support import Caller


def messages(call: Caller, *arguments: str) -> list[str]:
    return [log["message"] for log in call("logs", "--json", *arguments).json]


def test_the_newest_come_first_and_filters_compose(call: Caller, store: Path | str) -> None:
    agent = call("show", "issue-41", "--json").json["agents"][1]["id"]

    assert messages(call, "--type", "milestone") == ["built for issue-42", "built for issue-41"]
    assert messages(call, "--session", "issue-41", "--type", "milestone") == ["built for issue-41"]
    assert messages(call, "--agent", agent) == ["executing → completed", "built for issue-41"]
    assert messages(call, "--level", "error", "--session", "issue-41") == []
    assert set(messages(call, "--level", "ERROR", "--type", "error")) == {"RuntimeError: 3 tests failed\nin test_parser.py"}
    assert messages(call, "--since", "1h", "--until", "2999-01-01", "--type", "milestone", "--limit", "1") == [
        "built for issue-42"
    ]
    assert messages(call, "--until", "1h") == []


def test_logs_of_the_system_are_apart(call: Caller, store: Path | str) -> None:
    assert messages(call, "--system") == ["slow", "started"]
    assert messages(call, "--system", "--component", "api") == ["started"]
    assert messages(call, "--system", "--level", "WARNING") == ["slow"]
    assert [row[2:] for row in call("logs", "--system").rows] == [["WARNING", "database", "slow"], ["INFO", "api", "started"]]


@pytest.mark.parametrize(
    "arguments", ["--component api", "--system --session s", "--system --agent a", "--system --type error", "--before x"]
)
def test_filters_that_make_no_sense_are_refused(call: Caller, store: Path | str, arguments: str) -> None:
    assert call("logs", *arguments.split()).code == 2


def test_pages_follow_one_another(call: Caller, store: Path | str) -> None:
    all_of_them = call("logs", "--json").json

    assert call("logs", "--json", "--before", str(all_of_them[2]["id"]), "--limit", "2").json == all_of_them[3:5]


def test_a_row_names_its_agent(call: Caller, store: Path | str) -> None:
    row = next(row for row in call("logs").rows if row[-1] == "issue-42")

    assert row[2:5] == ["INFO", "milestone", "builder"]
    assert row[6:] == ["built", "for", "issue-42"]
