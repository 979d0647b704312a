"""tac-orch import"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tac_orchestrator.cli.endless import while_somebody_reads
from tac_orchestrator.cli.formats import counted, number, plain
from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import command, group
from tac_orchestrator.cli.output import Screen, print_json, print_json_line
from tac_orchestrator.cli.progress import Show, progress
from tac_orchestrator.cli.store import take_in_hooks
from tac_orchestrator.cli.times import clock
from tac_orchestrator.database import Database
from tac_orchestrator.errors import NotFound
from tac_orchestrator.ingest.adw import import_adw, watch_adw
from tac_orchestrator.ingest.claude_code import Report, default_folders, import_claude_code, watch_claude_code
from tac_orchestrator.ingest.spool import taking_in
from tac_orchestrator.settings import project_root

_FEW = 20
"""Sessions that are imported before anybody wonders."""

_watch = click.option(
    "--watch", is_flag=True, help="Go on with what is added, until interrupted. What is named need not be there yet."
)


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
    CLAUDE_CONFIG_DIR says. What its hooks have written down since is taken in as well.
    """
    chosen = list(paths) or default_folders(also_missing=watch)
    if not chosen:
        raise click.UsageError("Claude Code keeps no sessions here: name a folder that has transcripts.")

    async def work(database: Database, show: Show) -> Report:
        report = await import_claude_code(database, chosen, progress=show)
        await take_in_hooks(database)
        return report

    if watch:
        _follow(target, as_json, lambda database: watch_claude_code(database, chosen))
    else:
        _expect(chosen, "file or folder")
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
        _follow(target, as_json, lambda database: watch_adw(database, folder))
    else:
        _expect([folder], "folder")
        _tell(_run(target, work), as_json)


def _expect(paths: Iterable[Path], kind: str) -> None:
    """Nothing is made for what is not there. Raises NotFound."""
    for path in paths:
        if not (path.is_dir() if kind == "folder" else path.exists()):
            raise NotFound(kind, str(path), hint="--watch waits for it.")


def _run(target: str | None, work: Callable[[Database, Show], Awaitable[Report]]) -> Report:
    async def imported() -> Report:
        with progress("Sessions", worth=_FEW) as show:
            async with Database.open(target) as database:
                return await work(database, show)

    return run(imported())


def _follow(target: str | None, as_json: bool, reports: Callable[[Database], AsyncGenerator[Report]]) -> None:
    """A line for what is there, and one for each change."""

    async def follow() -> None:
        async with Database.open(target) as database, taking_in(database), aclosing(reports(database)) as found:
            async for report in found:
                _tell_change(report, as_json)

    run(while_somebody_reads(follow()))


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        print_json(_values(report))
        return
    if not report.sessions:
        click.echo("No sessions.", err=True)
        return
    counts = (("new", report.new), ("changed", report.changed), ("unchanged", report.unchanged))
    screen = Screen()
    screen.fields(
        (
            ("sessions", f"{number(report.sessions)}: {', '.join(f'{number(count)} {state}' for state, count in counts)}"),
            ("agents", number(report.agents)),
            ("requests", number(report.prompts)),
            ("logs", number(report.agent_logs)),
            ("files", f"{number(report.files)} read"),
            ("unreadable", f"{number(report.unreadable_files)} files" if report.unreadable_files else None),
            ("skipped", _skipped(report)),
        )
    )
    if report.changed_rows:
        screen.hint("Agents, requests and logs are those that are new or have changed. Look: tac-orch sessions")


def _tell_change(report: Report, as_json: bool) -> None:
    if as_json:
        print_json_line({"at": datetime.now(UTC), **_values(report)})
    else:
        rows = (counted(report.agents, "agent"), counted(report.prompts, "request"), counted(report.agent_logs, "log"))
        told = [counted(report.sessions, "session"), *(rows if report.changed_rows else ()), _skipped(report)]
        screen, now = Screen(), datetime.now(UTC)
        time = clock(now, now) if screen.is_terminal else plain(now)
        screen.line(f"{time}  {', '.join(filter(None, told))}")
    sys.stdout.flush()


def _values(report: Report) -> dict[str, Any]:
    return {**asdict(report), "changed": report.changed}


def _skipped(report: Report) -> str | None:
    """Lines that are damaged, or say nothing that we know of."""
    return f"{counted(report.skipped_lines, 'line')} that could not be read" if report.skipped_lines else None


import_.add_command(claude_code)
import_.add_command(adw)
