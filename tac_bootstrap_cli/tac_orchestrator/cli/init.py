"""tac-orch init"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.output import Screen, print_json
from tac_orchestrator.database import Database
from tac_orchestrator.errors import NotFound
from tac_orchestrator.ops.project import Prepared, prepare_project
from tac_orchestrator.settings import Settings, project_root

_STATES = {
    "made": "made",
    "extended": "extended: git leaves the store alone",
    "there": "there already",
    "differs": "left as it is: it is your own, or of another version",
}

_NEXT = """
Record from a script in adws/:
  from adw_modules.adw_database import open_database

Or from any command: tac-orch exec --agent tester -- pytest -q
Bring in what was:   tac-orch import claude-code"""


@command("init", examples=["tac-orch init", "tac-orch init ~/projects/shop"])
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
def init(target: str | None, as_json: bool, folder: Path) -> None:
    """Prepare a project: the store, the modules for its scripts, and .gitignore.

    The project is the one that FOLDER belongs to. What is there is left as it is, so that it does no harm to say this twice.
    """
    if not folder.is_dir():
        raise NotFound("folder", str(folder))
    root = project_root(folder)
    database = Database.open(target or Settings.from_environment(start=folder).database)
    store, is_new = database.target, not Path(database.target).exists()
    asyncio.run(_make(database))
    prepared = prepare_project(root)
    if as_json:
        files = [{"path": str(one.path), "state": one.state} for one in prepared]
        print_json({"root": str(root), "store": store, "store_made": is_new, "files": files})
    else:
        _tell(Screen(), store, is_new, prepared)


async def _make(database: Database) -> None:
    async with database:
        pass


def _tell(screen: Screen, store: str, is_new: bool, prepared: list[Prepared]) -> None:
    told = [(store, "made" if is_new else _STATES["there"]), *((str(one.path), _STATES[one.state]) for one in prepared)]
    width = max(len(visible(path)) for path, _ in told)
    for path, state in told:
        screen.line(f"{visible(path).ljust(width)}  {state}")
    screen.line(_NEXT)
