"""tac-orch backup"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from tac_orchestrator.cli.formats import counted, size
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import AGE, command
from tac_orchestrator.cli.output import Screen, print_json
from tac_orchestrator.cli.upkeep import bar
from tac_orchestrator.database import Database
from tac_orchestrator.ops import backup as ops
from tac_orchestrator.ops.backup import Backup


@command("backup", examples=["tac-orch backup", "tac-orch backup --keep 90d", "tac-orch backup /mnt/safe/orchestrator.db"])
@click.argument("copy", metavar="[TARGET]", required=False, type=click.Path(path_type=Path))
@click.option("--keep", "since", type=AGE, metavar="AGE", help="How long backups are kept, such as 90d.  [default: 30d]")
def backup(target: str | None, as_json: bool, copy: Path | None, since: datetime | None) -> None:
    """Copy the store while it is in use, and check the copy.

    Others go on recording. The copy is of one moment, and gets its name once it was restored to another file and found whole.
    TARGET is a new file; without it, the copy goes to `backups` beside the store, where older ones are then removed.
    """
    if copy is not None and since is not None:
        raise click.UsageError("--keep is about backups beside the store: name no TARGET.", click.get_current_context())
    keep = ops.KEEP if since is None else datetime.now(UTC) - since

    async def work() -> Backup:
        database = Database.open(target, create=False)
        with bar("Copying") as show:
            return await ops.backup(database, copy, keep=keep, progress=show)

    made = run(work())
    if as_json:
        print_json(_row(made))
    else:
        _tell(Screen(), made)


def _row(made: Backup) -> dict[str, object]:
    return {
        "path": str(made.path),
        "size_bytes": made.size,
        "made_at": made.made_at,
        "schema_version": made.schema_version,
        "rows": dict(made.rows),
        "orphans": list(made.orphans),
        "removed": [str(path) for path in made.removed],
    }


def _tell(screen: Screen, made: Backup) -> None:
    screen.line(f"{visible(str(made.path))} ({size(made.size)}, {held(made.rows)}), checked.")
    for path in made.removed:
        screen.line(f"Removed {visible(str(path))}, which is older than is kept.")
    for orphan in made.orphans:
        click.echo(f"Warning: {visible(orphan)}", err=True)


def held(rows: Mapping[str, int]) -> str:
    """What is in there, for people."""
    count = rows.get("agent_logs", 0) + rows.get("system_logs", 0)
    nouns = ", ".join(counted(rows.get(f"{noun}s", 0), noun) for noun in ("session", "agent", "prompt"))
    return f"{nouns}, {counted(count, 'log')}"
