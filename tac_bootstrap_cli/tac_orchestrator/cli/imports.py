"""tac-orch import"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import click

from tac_orchestrator.cli.formats import counted
from tac_orchestrator.cli.options import command, group
from tac_orchestrator.cli.output import Screen, print_json, print_json_line
from tac_orchestrator.cli.progress import Show, progress
from tac_orchestrator.database import Database
from tac_orchestrator.ingest.adw import import_adw, watch_adw
from tac_orchestrator.ingest.claude_code import Report, default_folders, import_claude_code, watch_claude_code
from tac_orchestrator.settings import project_root

_FEW = 20
"""Sessions that are imported before anybody wonders."""

_watch = click.option("--watch", is_flag=True, help="Go on with what is added, until interrupted.")


@group("import")
def import_() -> None:
    """Bring in what other programs have written about their agents.

    What is imported again changes nothing, and what has been added since is added.
    """


@command(
    "claude-code",
    examples=[
        "tac-orch import claude-code",
        "tac-orch import claude-code ~/.claude/projects/-home-me-shop --watch",
    ],
)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@_watch
def claude_code(target: str | None, as_json: bool, paths: tuple[Path, ...], watch: bool) -> None:
    """Sessions of Claude Code, from the transcripts that it keeps.

    A PATH is a transcript or a folder of them; by default, all that Claude Code keeps: ~/.claude/projects, or where
    CLAUDE_CONFIG_DIR says.
    """
    chosen = list(paths) or default_folders()
    if not chosen:
        raise click.UsageError("Claude Code keeps no sessions here: name a folder that has transcripts.")

    async def work(database: Database, show: Show) -> Report:
        return await import_claude_code(database, chosen, progress=show)

    if watch:
        asyncio.run(_follow(target, as_json, lambda database: watch_claude_code(database, chosen)))
    else:
        _tell(_run(target, work), as_json)


@command("adw", examples=["tac-orch import adw", "tac-orch import adw agents/a1b2c3d4 --json"])
@click.argument("path", required=False, type=click.Path(path_type=Path))
@_watch
def adw(target: str | None, as_json: bool, path: Path | None, watch: bool) -> None:
    """AI developer workflows, from the folders that they leave.

    PATH is the folder `agents` of a project, or that of one workflow in it; by default, that of this project.
    """
    folder = path or project_root(Path.cwd()) / "agents"

    async def work(database: Database, show: Show) -> Report:
        return await import_adw(database, folder, progress=show)

    if watch:
        asyncio.run(_follow(target, as_json, lambda database: watch_adw(database, folder)))
    else:
        _tell(_run(target, work), as_json)


import_.add_command(claude_code)
import_.add_command(adw)
