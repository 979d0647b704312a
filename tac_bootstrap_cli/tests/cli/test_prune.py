from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent

from .support import Caller


def test_what_would_go_stays(call: Caller, store: Path | str) -> None:
    first, second = call("prune", "--older-than", "0s", "--dry-run", "--json"), call("prune", "--older-than", "0s", "--dry-run")

    assert first.json["dry_run"] is True
    assert (first.json["sessions"], first.json["agents"], first.json["prompts"]) == (2, 5, 6)
    assert second.out.splitlines()[0].endswith(" UTC: 2 sessions, 5 agents, 6 prompts, 10 agent logs, 2 system logs.")
    assert second.out.startswith("Would delete, ")
    assert call("status", "--json").json["agent_count"] == 5


def test_what_goes_is_said_and_what_it_cost_stays(call: Caller, store: Path | str) -> None:
    before = call("cost", "--json").json

    removed = call("prune", "--older-than", "0s", "--json").json

    assert (removed["dry_run"], removed["sessions"], removed["prompts"], removed["bytes_freed"] > 0) == (False, 2, 6, True)
    assert call("status", "--json").json["agent_count"] == 0
    assert call("cost", "--json").json == before


def test_what_is_young_stays(call: Caller, store: Path | str) -> None:
    assert call("prune", "--older-than", "30d").out.startswith("Nothing to delete from before ")
    assert call("status", "--json").json["agent_count"] == 5


def test_what_runs_stays(call: Caller, target: Path | str) -> None:
    asyncio.run(_begin(target))

    assert call("prune", "--older-than", "0s", "--json").json["agents"] == 0
    assert call("status", "--json").json["running_count"] == 1


async def _begin(target: Path | str) -> None:
    async with Database.open(target) as db:
        await make_agent(db, status="executing")


@pytest.mark.parametrize("arguments", [(), ("--older-than", "soon"), ("--older-than", "2100-01-01")])
def test_an_age_is_needed(call: Caller, store: Path | str, arguments: tuple[str, ...]) -> None:
    assert call("prune", *arguments).code == 2
    assert call("status", "--json").json["agent_count"] == 5


@pytest.mark.parametrize("arguments", [("prune", "--older-than"), ("backup", "--keep")], ids=" ".join)
def test_nothing_is_as_old_as_a_day_to_come(call: Caller, store: Path | str, arguments: tuple[str, ...]) -> None:
    result = call(*arguments, "2999-01-01")

    assert (result.code, result.err) == (
        2,
        f"Error: Invalid value for '{arguments[1]}': '2999-01-01' lies in the future\nTry: tac-orch {arguments[0]} --help\n",
    )
    assert call("status", "--json").json["agent_count"] == 5


def test_without_a_store_there_is_nothing_to_delete(call: Caller, path: Path) -> None:
    assert call("prune", "--older-than", "1d").code == 4
    assert not path.exists()
