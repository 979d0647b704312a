"""Runs the demonstration in a folder of its own, which becomes a small project with a store."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

from tac_orchestrator.database import Database
from tac_orchestrator.demo.roles import WorkflowFailed
from tac_orchestrator.engines.base import Progress
from tac_orchestrator.errors import InvalidSetting
from tac_orchestrator.ingest.claude_code import Report, import_claude_code
from tac_orchestrator.models import Change
from tac_orchestrator.ops.project import prepare_project
from tac_orchestrator.settings import AGENT_VARIABLE, DEFAULT_DATABASE, SESSION_VARIABLE

_LOOK_EVERY_S = 0.02

# The folder is on its own for pytest, whatever project it lies in.
_PYTEST_INI = "[pytest]\npythonpath = .\naddopts = -q --no-header -p no:cacheprovider\n"


def prepare_folder(folder: Path) -> Path:
    """Make the project. Returns where its store is.

    Raises InvalidSetting if the folder is somebody's own, or pytest is missing.
    """
    if find_spec("pytest") is None:
        raise InvalidSetting("pytest", "not installed", "what the tester runs: pip install 'tac-orchestrator[demo]'")
    if folder.exists() and any(folder.iterdir()) and not _is_ours(folder):
        raise InvalidSetting("FOLDER", str(folder), "a folder that is new, empty, or of an earlier demonstration")
    folder.mkdir(parents=True, exist_ok=True)
    prepare_project(folder)
    (folder / "pytest.ini").write_text(_PYTEST_INI, "utf-8")
    return folder / DEFAULT_DATABASE


def _is_ours(folder: Path) -> bool:
    """Its store may be elsewhere."""
    settings = folder / "pytest.ini"
    return (folder / DEFAULT_DATABASE).is_file() or (settings.is_file() and settings.read_bytes() == _PYTEST_INI.encode())


async def next_session(db: Database) -> str:
    """demo-1, or the next one that is free."""
    number = 1
    while await db.sessions.find(f"demo-{number}"):
        number += 1
    return f"demo-{number}"


async def perform(db: Database, folder: Path, session_id: str) -> AsyncIterator[Change]:
    """Let the workflow run. What its processes store is told while they run. Raises WorkflowFailed."""
    position = await db.changes.last()
    async with _workflow(db, folder, session_id) as process:
        is_over = False
        while not is_over:
            is_over = process.returncode is not None
            while found := await db.changes.after(position):
                for change in found:
                    yield change
                position = found[-1].position
            await asyncio.sleep(_LOOK_EVERY_S)
    if process.returncode != 0:
        raise WorkflowFailed(f"The workflow ended with exit code {process.returncode}.")


async def import_runs(db: Database, progress: Progress | None = None) -> Report:
    """Take in the runs of Claude Code that come with the product."""
    with as_file(files("tac_orchestrator.demo") / "runs") as folder:
        return await import_claude_code(db, [folder], progress=progress)


@asynccontextmanager
async def _workflow(db: Database, folder: Path, session_id: str) -> AsyncGenerator[Process]:
    environment = {**os.environ, **db.settings.variables, SESSION_VARIABLE: session_id}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # what else is installed here has no say in it
    environment.pop(AGENT_VARIABLE, None)
    program = ("-m", "tac_orchestrator.demo", "workflow")
    process = await asyncio.create_subprocess_exec(sys.executable, *program, cwd=folder, env=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
