from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent

from .support import Caller


def ids(call: Caller, *arguments: str) -> list[str]:
    return [session["session_id"] for session in call("sessions", "--json", *arguments).json]


@pytest.fixture
def ages(target: Path | str) -> None:
    asyncio.run(_record(target))


async def _record(target: Path | str) -> None:
    async with Database.open(target) as db:
        for hours, status in ((1, "failed"), (3, "completed"), (50, "completed"), (80, "executing")):
            at = datetime.now(UTC) - timedelta(hours=hours)
            await make_agent(db, session_id=f"{hours}h", status=status, started_at=at)


def test_the_newest_come_first_and_filters_compose(call: Caller, ages: None) -> None:
    assert ids(call) == ["1h", "3h", "50h", "80h"]
    assert ids(call, "--since", "2d") == ["1h", "3h"]
    assert ids(call, "--until", "2h", "--status", "completed") == ["3h", "50h"]
    assert ids(call, "--status", "running") == ["80h"]
    assert ids(call, "--since", "2999-01-01") == []


def test_pages_follow_one_another(call: Caller, ages: None) -> None:
    first = call("sessions", "--limit", "2", columns=80)

    assert ids(call, "--limit", "2") == ["1h", "3h"]
    assert "--before 3h" in first.err
    assert ids(call, "--limit", "2", "--before", "3h") == ["50h", "80h"]
    assert ids(call, "--before", "80h") == []


def test_a_row_has_the_totals_of_its_session(call: Caller, store: Path | str) -> None:
    session = call("sessions", "--json", "--limit", "1").json[0]
    words = call("sessions", "--limit", "1").rows[0]

    assert (session["session_id"], session["status"], session["agent_count"]) == ("issue-42", "failed", 3)
    assert session["cost_usd"] == "0.324496"
    assert session["started_at"].endswith("Z")
    assert words[:2] + words[4:] == ["issue-42", "failed", "3", "3", "48922", "1129", "0.324496", "1"]


def test_people_see_ages_and_short_numbers(call: Caller, store: Path | str) -> None:
    line = call("sessions", "--limit", "1", columns=140).out.splitlines()[1]

    assert "0s ago" in line or "1s ago" in line
    assert "48.9k" in line
    assert "$0.3245" in line
