"""Captured runs of Claude Code with what truly happened in each, and what a store holds of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from tac_orchestrator import Database

_FOLDER = Path(__file__).parents[1] / "samples"
_SHIPPED = Path(str(files("tac_orchestrator.demo") / "runs"))

SAMPLES = tuple(sorted(folder.name for folder in _FOLDER.iterdir() if folder.name.startswith("claude-")))
STREAMS = tuple(name for name in SAMPLES if (_FOLDER / name / "stream.jsonl").is_file())


def expected(name: str) -> dict[str, Any]:
    return json.loads((_FOLDER / name / "manifest.json").read_text())["expected"]


def projects(name: str) -> Path:
    """The transcripts of a run, as Claude Code keeps them. Some come with the product."""
    shipped = _SHIPPED / name
    return shipped if shipped.is_dir() else _FOLDER / name / "projects"


def transcript_files(name: str) -> list[Path]:
    return sorted(projects(name).glob("**/*.jsonl"))


def main_transcript(name: str) -> Path:
    return next(projects(name).glob("*/*.jsonl"))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def stream(name: str) -> Path:
    return _FOLDER / name / "stream.jsonl"


async def contents(db: Database) -> dict[str, list[Any]]:
    """All that was imported, in an order of its own, without what differs by the moment of the import."""
    kinds = {kind.id: kind.name for kind in await db.orchestrator_agents.list()}
    agents = [{**dict(row), "orchestrator_agent_id": kinds[row.orchestrator_agent_id]} for row in await db.agents.list()]
    logs = [dict(row) for row in await db.agent_logs.list(limit=10_000)]
    prompts = [dict(row) for row in await db.prompts.list(limit=10_000)]
    return {
        "agents": _comparable(agents, "id", "updated_at"),
        "prompts": _comparable(prompts, "id"),
        "logs": _comparable([log for log in logs if log["source_key"]], "source_key", "id"),
    }


def _comparable(rows: list[dict[str, Any]], key: str, *without: str) -> list[Any]:
    return sorted(
        ({name: value for name, value in row.items() if name not in without} for row in rows), key=lambda row: row[key]
    )


def minutes_between(first: datetime, second: datetime) -> float:
    return abs((second - first).total_seconds()) / 60
