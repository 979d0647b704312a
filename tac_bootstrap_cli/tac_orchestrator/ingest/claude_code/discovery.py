"""Finds the transcripts of Claude Code, and which of them belong to one session.

A session's own file is <session>.jsonl; those of its sub-agents are in <session>/subagents/, or beside it, in older versions.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tac_orchestrator.errors import DatabaseUnavailable
from tac_orchestrator.ingest.claude_code.transcript import parsed_line, session_named_in

_SUBAGENT = "agent-"


@dataclass(slots=True)
class SessionFiles:
    """The files of one session: its own, if it is there, and its sub-agents' by their keys."""

    session_id: str
    main: Path | None = None
    subagents: dict[str, Path] = field(default_factory=dict[str, Path])

    def paths(self) -> list[Path]:
        """All of them, and the .meta.json beside those that have one."""
        files = [self.main] if self.main else []
        for path in self.subagents.values():
            files += [file for file in (path, meta_file(path)) if file.exists()]
        return files


def default_folders(environment: Mapping[str, str] | None = None) -> list[Path]:
    """Where Claude Code keeps its transcripts; CLAUDE_CONFIG_DIR may name several folders with commas between them."""
    named = (os.environ if environment is None else environment).get("CLAUDE_CONFIG_DIR")
    home = Path.home()
    roots = (
        [Path(part.strip()).expanduser() for part in named.split(",")] if named else [home / ".claude", home / ".config/claude"]
    )
    return [folder for root in roots if (folder := root / "projects").is_dir()]


def find_sessions(paths: Iterable[Path]) -> list[SessionFiles]:
    """The sessions that these files and folders hold something of, each with all of its files.

    Raises DatabaseUnavailable for a path that is not there.
    """
    sessions = dict[tuple[Path, str], SessionFiles]()
    for path in paths:
        if not path.exists():
            raise DatabaseUnavailable(
                str(path), "there is no such file or folder", hint="Name a transcript or a folder of them."
            )
        for folder in _project_folders(path):
            for session in _sessions_in(folder):
                if path.is_dir() or _concerns(session, path):
                    sessions.setdefault((folder, session.session_id), session)
    return sorted(sessions.values(), key=lambda session: session.session_id)


def meta_file(path: Path) -> Path:
    return path.with_suffix(".meta.json")


def read_meta(path: Path) -> dict[str, str]:
    """What Claude Code notes beside a sub-agent's transcript; nothing, if it notes nothing."""
    with suppress(FileNotFoundError):
        told = parsed_line(meta_file(path).read_bytes()) or {}
        return {name: value for name, value in told.items() if isinstance(value, str)}
    return {}


def _project_folders(path: Path) -> Iterator[Path]:
    """The folders that session files lie in."""
    if path.is_file():
        parents = list(path.parents)
        yield parents[2] if path.parent.name == "subagents" else path.parent
        return
    folders = {file.parent for file in path.rglob("*.jsonl")}
    yield from sorted({folder.parents[1] if folder.name == "subagents" else folder for folder in folders})


def _sessions_in(folder: Path) -> list[SessionFiles]:
    sessions = defaultdict[str, dict[str, Path]](dict)
    mains = dict[str, Path]()
    for file in sorted(folder.glob("*.jsonl")):
        if file.name.startswith(_SUBAGENT):
            session_id = _session_of(file)
            if session_id is not None:
                sessions[session_id][_key_of(file)] = file
        else:
            mains[file.stem] = file
    for file in sorted(folder.glob(f"*/subagents/**/{_SUBAGENT}*.jsonl")):
        session_id = file.relative_to(folder).parts[0]
        sessions[session_id][_key_of(file)] = file
    return [SessionFiles(key, mains.get(key), sessions.get(key, {})) for key in sorted(mains.keys() | sessions.keys())]


def _session_of(file: Path) -> str | None:
    with file.open("rb") as lines:
        return session_named_in(islice(lines, 20))


def _key_of(file: Path) -> str:
    return file.stem.removeprefix(_SUBAGENT)


def _concerns(session: SessionFiles, path: Path) -> bool:
    return path in (session.main, *session.subagents.values(), *map(meta_file, session.subagents.values()))
