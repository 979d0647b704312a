"""tac-orch status"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

from tac_orchestrator.cli.formats import counted, money, size
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.lookup import Names
from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.output import Column, Line, Screen, print_json, short_ids
from tac_orchestrator.cli.store import close_lost, is_there, take_in_hooks
from tac_orchestrator.database import Database
from tac_orchestrator.models import Agent, Usage, WorkingStatus
from tac_orchestrator.ops.figures import holdings
from tac_orchestrator.queries import queries
from tac_orchestrator.schema import migrations

_RUNNING_SHOWN = 20

_NO_STORE = """There is no store yet. The first recording makes it: {path}

Record any command:
  tac-orch exec --agent tester -- pytest -q

Or record from Python:
  async with Database.open() as db:
      planner = await db.orchestrator_agents.register("planner", agent_type="planner")
      async with db.agents.run(planner, session_id="issue-42") as agent:
          await agent.log("milestone", "plan written")"""


@command("status", examples=["tac-orch status", "tac-orch status --json | jq .cost_today_usd"])
def status(target: str | None, as_json: bool) -> None:
    """Where the store is, what it holds, and what runs now.

    Days are UTC days. Agents whose process is gone are closed, as failed.
    """
    database = Database.open(target, create=False)
    found = run(_look(database)) if is_there(database.engine) else None
    if as_json:
        print_json({"path": database.target, "exists": found is not None, **(found or {})})
    elif found is None:
        Screen().line(_NO_STORE.format(path=visible(database.target)))
    else:
        _show(Screen(), database.target, found)


async def _look(database: Database) -> dict[str, Any]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    async with database:
        await take_in_hooks(database)
        closed = await close_lost(database)
        days = await database.usage.by("day", since=today - timedelta(days=6))
        return {
            "schema_version": len(migrations()),
            "size_bytes": await database.engine.size(),
            **await holdings(database, today),
            "lost_agents_closed": closed,
            **_costs("today", [day for day in days if day.group == f"{today:%Y-%m-%d}"]),
            **_costs("7d", days),
            "redactions": {row["kind"]: row["redaction_count"] for row in await database.query(_redactions())},
            "running": [await _running(Names(database), agent) for agent in await _working(database)],
        }


async def _working(database: Database) -> list[Agent]:
    pages = [await database.agents.list(status=state, limit=_RUNNING_SHOWN) for state in get_args(WorkingStatus)]
    agents = sorted((agent for page in pages for agent in page), key=lambda agent: agent.id, reverse=True)
    return agents[:_RUNNING_SHOWN]


async def _running(names: Names, agent: Agent) -> dict[str, Any]:
    name, session = await names.of(agent.id)
    return {"id": agent.id, "name": name, "session_id": session, "status": agent.status, "started_at": agent.started_at}


def _redactions() -> str:
    return queries("redactions")["totals"].text


def _costs(name: str, days: Iterable[Usage]) -> dict[str, Any]:
    """The sum of what is known, and how many prompts it lacks."""
    known = [day.cost_usd for day in days if day.cost_usd is not None]
    return {
        f"cost_{name}_usd": sum(known, Decimal(0)) if known else None,
        f"unpriced_{name}": sum(day.unpriced_count for day in days),
    }


def _show(screen: Screen, path: str, found: dict[str, Any]) -> None:
    screen.fields(_fields(path, found))
    if not found["running"]:
        return
    screen.line()
    columns = [
        Column("RUNNING", least=12),
        Column("ID", "id"),
        Column("SESSION", least=12),
        Column("STATUS", "state", spare=1),
        Column("STARTED", "ago"),
    ]
    ids = [agent["id"] for agent in found["running"]]
    shown = short_ids(ids) if screen.is_terminal else ids
    order = ("session_id", "status", "started_at")
    lines = [
        Line([agent["name"], id, *(agent[key] for key in order)]) for agent, id in zip(found["running"], shown, strict=True)
    ]
    screen.table(columns, lines)
    if more := found["running_count"] - len(lines):
        screen.hint(f"{more:,} more: tac-orch sessions --status running, and tac-orch show SESSION")


def _fields(path: str, found: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    yield "Store", f"{visible(path)} ({size(found['size_bytes'])}, schema {found['schema_version']})"
    yield (
        "Holds",
        ", ".join(
            (
                counted(found["session_count"], "session"),
                counted(found["agent_count"], "agent"),
                counted(found["prompt_count"], "prompt"),
                counted(found["agent_log_count"] + found["system_log_count"], "log"),
            )
        ),
    )
    yield "Running", counted(found["running_count"], "agent")
    yield "Today", f"{counted(found['sessions_today'], 'session')}, {_cost(found, 'today')}"
    yield "7 days", _cost(found, "7d")
    if found["redactions"]:
        kinds = ", ".join(f"{count} {visible(kind)}" for kind, count in found["redactions"].items())
        yield "Redacted", f"{counted(sum(found['redactions'].values()), 'secret')} ({kinds})"
    if found["lost_agents_closed"]:
        yield "Closed", f"{counted(found['lost_agents_closed'], 'agent')} whose process is gone"


def _cost(found: dict[str, Any], name: str) -> str:
    cost, unpriced = found[f"cost_{name}_usd"], found[f"unpriced_{name}"]
    known = "no known cost" if cost is None else money(cost)
    return f"{known}, without {counted(unpriced, 'prompt')} of unknown price" if unpriced else known
