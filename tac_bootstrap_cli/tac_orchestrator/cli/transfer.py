"""tac-orch transfer"""

from __future__ import annotations

from dataclasses import asdict

import click

from tac_orchestrator.cli.backup import held
from tac_orchestrator.cli.failures import INVALID, OK
from tac_orchestrator.cli.formats import counted
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.output import Screen, print_json
from tac_orchestrator.cli.upkeep import bar
from tac_orchestrator.database import Database
from tac_orchestrator.ops import transfer as ops
from tac_orchestrator.ops.transfer import Transferred


@command(
    "transfer",
    examples=["tac-orch transfer postgresql://db.example/tac", "tac-orch transfer back.db --db postgresql://db.example/tac"],
)
@click.argument("destination", metavar="TARGET")
def transfer(target: str | None, as_json: bool, destination: str) -> int:
    """Move the store to PostgreSQL, or from there to a file, and prove it.

    TARGET is the URL of a database without tables, or a new file. Rows that it could not hold are listed, and then nothing is
    moved. Otherwise all rows are copied and compared by their number and by checksums; only then TARGET can be opened as a
    store. The old store is not changed. Whatever stops it, the same command goes on. End what records first: it is refused if
    something was recorded meanwhile.
    """

    async def work() -> Transferred:
        with bar("Moving") as show:
            return await ops.transfer(Database.open(target, create=False), destination, show)

    done = run(work())
    if as_json:
        print_json(_row(done))
    else:
        _tell(Screen(), done)
    return INVALID if done.misfits else OK


def _row(done: Transferred) -> dict[str, object]:
    return {
        "source": done.source,
        "target": done.target,
        "is_moved": not done.misfits,
        "tables": {table: {"rows": one.rows, "checksum": one.checksum} for table, one in done.tables.items()},
        "misfits": [asdict(misfit) for misfit in done.misfits],
        "misfit_count": done.misfit_count,
    }


def _tell(screen: Screen, done: Transferred) -> None:
    target = visible(done.target)
    if not done.misfits:
        rows = {table: digest.rows for table, digest in done.tables.items()}
        screen.line(f"{target} holds what is in {visible(done.source)}: {held(rows)}. Every row was compared.")
        screen.line("Set TAC_ORCHESTRATOR_DB to it. The old store is as it was.")
        return
    for misfit in done.misfits:
        screen.line(f"{misfit.table} {visible(misfit.id)}, {misfit.column}: {visible(misfit.reason)}")
    if done.misfit_count > len(done.misfits):
        screen.line(f"… and {counted(done.misfit_count - len(done.misfits), 'more value')}")
    click.echo(f"Error: {counted(done.misfit_count, 'value')} of the store cannot be moved; nothing was.", err=True)
    click.echo("Try: correct or delete these rows, and call it again.", err=True)
