"""tac-orch prune"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import click

from tac_orchestrator.cli.formats import counted, size
from tac_orchestrator.cli.options import AGE, command
from tac_orchestrator.cli.output import Screen, print_json
from tac_orchestrator.cli.store import ask
from tac_orchestrator.cli.upkeep import bar
from tac_orchestrator.database import Database
from tac_orchestrator.ops import retention
from tac_orchestrator.ops.retention import Pruning


@command("prune", examples=["tac-orch prune --older-than 30d --dry-run", "tac-orch prune --older-than 12w"])
@click.option("--older-than", "until", type=AGE, required=True, metavar="AGE", help="A span such as 30d or 12w, or a day.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def prune(target: str | None, as_json: bool, until: datetime, dry_run: bool) -> None:
    """Delete what is older than it has to be.

    Sessions go as a whole, once nothing has happened in them for so long, and so do old logs of the system. What they cost is
    kept in all totals. A session that runs stays, and others can record meanwhile. Nothing is asked.
    """
    age = datetime.now(UTC) - until

    async def work(database: Database) -> Pruning:
        if dry_run:
            return await retention.plan(database, age)
        with bar("Deleting") as show:
            return await retention.prune(database, age, show)

    done = ask(target, work)
    if as_json:
        print_json({"dry_run": dry_run, **asdict(done)})
    else:
        _tell(Screen(), done, dry_run)


def _tell(screen: Screen, done: Pruning, dry_run: bool) -> None:
    ended = f"from before {done.until:%Y-%m-%d %H:%M} UTC"
    if not done.row_count:
        screen.line(f"Nothing to delete {ended}.")
        return
    parts = (
        counted(done.sessions, "session"),
        counted(done.agents, "agent"),
        counted(done.prompts, "prompt"),
        counted(done.agent_logs, "agent log"),
        counted(done.system_logs, "system log"),
    )
    screen.line(f"{'Would delete' if dry_run else 'Deleted'}, {ended}: {', '.join(parts)}.")
    screen.line(f"New rows {'would find' if dry_run else 'find'} about {size(done.bytes_freed)} of room.")
    if not dry_run:
        screen.hint("`tac-orch db vacuum` gives the room back to the disk.")
