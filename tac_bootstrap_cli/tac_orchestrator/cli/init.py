"""tac-orch init"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import click

from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.output import Screen, print_json
from tac_orchestrator.cli.store import is_there
from tac_orchestrator.database import Database
from tac_orchestrator.errors import NotFound
from tac_orchestrator.ops.claude_settings import Change, install, keep_backup
from tac_orchestrator.ops.claude_settings import uninstall as uninstall_hooks
from tac_orchestrator.ops.project import Prepared, prepare_project
from tac_orchestrator.settings import DEFAULT_DATABASE, Settings, project_root

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


@command(
    "init",
    examples=[
        "tac-orch init",
        "tac-orch init ~/projects/shop",
        "tac-orch init --claude-code",
        "tac-orch init --claude-code --uninstall",
    ],
)
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--claude-code", is_flag=True, help="Have Claude Code tell its hooks what runs: .claude/settings.json.")
@click.option("--uninstall", is_flag=True, help="Take what --claude-code has added away again, and nothing else.")
def init(target: str | None, as_json: bool, folder: Path, claude_code: bool, uninstall: bool) -> None:
    """Prepare a project: the store, the modules for its scripts, and .gitignore.

    The project is the one that FOLDER belongs to. What is there is left as it is, so that it does no harm to say this twice.
    With --claude-code, hooks are added to the settings of Claude Code: the change is shown, and a copy of the file kept.
    """
    if uninstall and not claude_code:
        raise click.UsageError("--uninstall says how --claude-code is meant: say both.")
    if not folder.is_dir():
        raise NotFound("folder", str(folder))
    root = project_root(folder)
    if uninstall:
        _tell_change(_take_away(root, target, folder), None, as_json)
        return
    change = install(root, _elsewhere(root, target, folder)) if claude_code else None
    database = Database.open(target or Settings.from_environment(start=folder).database)
    store, is_new = database.target, not is_there(database.engine)
    run(_make(database))
    prepared = prepare_project(root)
    backup = None if change is None else _apply(change)
    if as_json:
        files = [{"path": str(one.path), "state": one.state} for one in prepared]
        told = {} if change is None else _told(change, backup)
        print_json({"root": str(root), "store": store, "store_made": is_new, "files": files, **told})
    else:
        _tell(Screen(), store, is_new, prepared)
        if change is not None:
            _tell_change(change, backup, as_json)


def _elsewhere(root: Path, target: str | None, folder: Path) -> str | None:
    """The store that the hook has to be told of."""
    settings = Settings.from_environment(start=folder)
    named = target or settings.database
    if "://" in named:  # then it writes beside the place where the project's store would be
        return None
    store = Path(named).expanduser().absolute()
    return None if store == root / DEFAULT_DATABASE else str(store)


def _apply(change: Change) -> Path | None:
    """Returns the copy that was kept."""
    if change.after == change.before:
        return None
    backup = keep_backup(change)
    change.apply()
    return backup


def _take_away(root: Path, target: str | None, folder: Path) -> Change:
    change = uninstall_hooks(root, _elsewhere(root, target, folder))
    if change.after != change.before:
        change.apply()
        change.backup.unlink(missing_ok=True)
    return change


def _told(change: Change, backup: Path | None) -> dict[str, Any]:
    return {
        "claude_settings": str(change.path),
        "claude_settings_changed": change.after != change.before,
        "claude_settings_backup": backup and str(backup),
    }


def _tell_change(change: Change, backup: Path | None, as_json: bool) -> None:
    if as_json:
        print_json(_told(change, backup))
        return
    screen = Screen()
    before, after = ((data or b"").decode(errors="replace").splitlines() for data in (change.before, change.after))
    screen.line()
    for line in difflib.unified_diff(before, after, str(change.path), str(change.path), lineterm=""):
        screen.line(visible(line))
    if change.after == change.before:
        screen.line(f"{visible(str(change.path))}  left as it is")
    if backup is not None:
        screen.line(f"{visible(str(backup))}  is the file as it was")


async def _make(database: Database) -> None:
    async with database:
        pass


def _tell(screen: Screen, store: str, is_new: bool, prepared: list[Prepared]) -> None:
    told = [(store, "made" if is_new else _STATES["there"]), *((str(one.path), _STATES[one.state]) for one in prepared)]
    width = max(len(visible(path)) for path, _ in told)
    for path, state in told:
        screen.line(f"{visible(path).ljust(width)}  {state}")
    screen.line(_NEXT)
