from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tac_orchestrator import Database
from tac_orchestrator.schema import migrations
from tac_orchestrator.testing import make_agent, make_prompt

from .support import Caller


def test_without_a_store_it_says_how_to_begin(call: Caller, path: Path) -> None:
    people, programs = call("status"), call("status", "--json")

    assert (people.code, programs.code) == (0, 0)
    assert people.out.startswith(f"There is no store yet. The first recording makes it: {path}\n")
    assert "tac-orch exec --agent" in people.out
    assert programs.json == {"path": str(path), "exists": False}
    assert not path.exists()


def test_it_says_what_the_store_holds(call: Caller, store: Path | str) -> None:
    found = call("status", "--json").json

    size = found.pop("size_bytes")
    assert size == store.stat().st_size if isinstance(store, Path) else size > 0
    assert found == {
        "path": str(store),
        "exists": True,
        "schema_version": len(migrations()),
        "session_count": 2,
        "sessions_today": 2,
        "agent_count": 5,
        "running_count": 0,
        "prompt_count": 6,
        "agent_log_count": 10,
        "system_log_count": 2,
        "lost_agents_closed": 0,
        "cost_today_usd": "0.648992",
        "unpriced_today": 2,
        "cost_7d_usd": "0.648992",
        "unpriced_7d": 2,
        "redactions": {},
        "running": [],
    }


def test_people_read_it_in_lines(call: Caller, store: Path | str) -> None:
    lines = call("status").out.splitlines()

    assert lines[1:] == [
        "Holds    2 sessions, 5 agents, 6 prompts, 12 logs",
        "Running  0 agents",
        "Today    2 sessions, $0.6490, without 2 prompts of unknown price",
        "7 days   $0.6490, without 2 prompts of unknown price",
    ]


def test_running_agents_and_secrets_are_shown(call: Caller, target: Path | str) -> None:
    asyncio.run(_begin(target))

    found = call("status", "--json").json
    people, on_terminal = call("status").out, call("status", columns=80).plain

    assert [(agent["name"], agent["session_id"], agent["status"]) for agent in found["running"]] == [
        ("tester", "issue-7", "executing")
    ]
    assert found["redactions"] == {"github_token": 1}
    assert found["cost_today_usd"] is None
    assert ["Running", "1", "agent"] in (lines := [line.split() for line in people.splitlines()])
    assert ["Redacted", "1", "secret", "(1", "github_token)"] in lines
    assert ["Today", "1", "session,", "no", "known", "cost"] in lines
    assert lines[-1][:4] == ["tester", found["running"][0]["id"], "issue-7", "executing"]
    assert on_terminal.splitlines()[-1].split()[:3] == ["tester", found["running"][0]["id"][:13], "issue-7"]


async def _begin(target: Path | str, count: int = 1) -> None:
    async with Database.open(target) as db:
        for _ in range(count):
            agent = await make_agent(db, "tester", session_id="issue-7", status="executing")
        await db.agent_logs.create(agent.id, "milestone", "token ghp_" + "a1B2" * 9)


def test_running_agents_that_are_not_shown_are_counted(call: Caller, target: Path | str) -> None:
    asyncio.run(_begin(target, 23))

    shown = call("status", columns=80)

    assert len(shown.plain.split("RUNNING")[1].splitlines()) == 21
    assert "3 more: tac-orch sessions --status running" in shown.err


def test_costs_count_by_their_day(call: Caller, target: Path | str) -> None:
    asyncio.run(_spend(target))

    found = call("status", "--json").json

    assert (found["cost_today_usd"], found["cost_7d_usd"]) == ("1", "11")


async def _spend(target: Path | str) -> None:
    async with Database.open(target) as db:
        agent = await make_agent(db)
        for days, dollars in ((0, 1), (6, 10), (7, 100)):
            at = datetime.now(UTC) - timedelta(days=days)
            await make_prompt(db, agent, status="completed", created_at=at, completed_at=at, cost_usd=Decimal(dollars))


def test_agents_whose_process_is_gone_are_closed(call: Caller, target: Path | str) -> None:
    code = """
import asyncio, os, sys
from tac_orchestrator import Database
async def main():
    async with Database.open(sys.argv[1]) as db:
        await db.orchestrator_agents.register("tester", agent_type="tester")
        async with db.agents.run("tester", session_id="s"):
            os._exit(0)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code, str(target)], check=True, env=os.environ)

    assert "Closed   1 agent whose process is gone" in call("status").out
    assert [session["status"] for session in call("sessions", "--json").json] == ["failed"]
    assert call("status", "--json").json["lost_agents_closed"] == 0
