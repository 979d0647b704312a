"""What the trials of reliability share: processes that record until they are stopped, and whether a store is sound."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tac_orchestrator import Database
from tac_orchestrator.engines.base import Finding
from tac_orchestrator.ops.checks import check

KIND = "recorder"


def start(program: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A Python process of its own. It is told to begin by its input, and tells by its output; see each program."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, text=True, **{**pipes, **options})


async def make_store(path: Path) -> None:
    async with Database.open(path) as db:
        await db.orchestrator_agents.register(KIND, agent_type="utility")


async def faults(path: Path) -> list[Finding]:
    """What is wrong with the file, with what refers to what, with the schema, with any total or with the search."""
    async with Database.open(path, create=False) as db:
        return [finding for finding in await check(db) if finding.state != "ok"]
