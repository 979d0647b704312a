"""tac-orch restore"""

from __future__ import annotations

from pathlib import Path

import click

from tac_orchestrator.cli.backup import held
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.output import Screen, print_json
from tac_orchestrator.cli.upkeep import bar
from tac_orchestrator.database import Database
from tac_orchestrator.ops import backup as ops
from tac_orchestrator.ops.backup import Restored


@command(
    "restore",
    examples=[
        "tac-orch restore adws/schema/backups/orchestrator-20261120T030000Z.db --replace",
        "tac-orch restore safe.db --db trial.db",
    ],
)
@click.argument("source", metavar="BACKUP", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Take the place of a store that is there. That one is kept beside.")
def restore(target: str | None, as_json: bool, source: Path, replace: bool) -> None:
    """Put a backup in the place of the store.

    The backup is read as a whole first, and stays as it is. Nobody may have the store open meanwhile. Interrupted, the old
    store or the new one is there, never a half.
    """

    async def work() -> Restored:
        database = Database.open(target)
        if database.engine.path is None:
            database.engine.restore(source, None)  # says whose matter it is
        path = database.settings.place
        with bar("Restoring") as show:
            return await ops.restore(source, path, replace=replace, progress=show)

    done = run(work())
    if as_json:
        print_json(_row(done))
    else:
        _tell(Screen(), done)


def _row(done: Restored) -> dict[str, object]:
    return {
        "path": str(done.path),
        "source": str(done.source),
        "schema_version": done.schema_version,
        "rows": dict(done.rows),
        "kept": None if done.kept is None else str(done.kept),
    }


def _tell(screen: Screen, done: Restored) -> None:
    screen.line(f"{visible(str(done.path))} holds what was in {visible(str(done.source))}: {held(done.rows)}.")
    if done.kept is not None:
        screen.line(f"What was there before: {visible(str(done.kept))}")
