"""Claude Code: the transcripts that it keeps of its sessions and their sub-agents."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Progress
from tac_orchestrator.ingest.claude_code.discovery import default_folders
from tac_orchestrator.ingest.claude_code.importer import Importer
from tac_orchestrator.ingest.intake import Report

__all__ = ["Report", "default_folders", "import_claude_code", "watch_claude_code"]


async def import_claude_code(
    database: Database, paths: Iterable[Path] | None = None, *, progress: Progress | None = None
) -> Report:
    """Every session of which these files and folders hold something; by default, all that Claude Code keeps.

    Raises DatabaseUnavailable for a path that is not there.
    """
    return await Importer(database).run(default_folders() if paths is None else paths, progress)


def watch_claude_code(database: Database, paths: Iterable[Path] | None = None) -> AsyncGenerator[Report]:
    """The same, and then everything that is added, for as long as the caller likes. The paths need not be there yet."""
    return Importer(database).watch(default_folders(also_missing=True) if paths is None else paths)
