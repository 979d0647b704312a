"""Finds the transcripts of Claude Code, and which of them belong to one session.

A session's own file is <session>.jsonl; those of its sub-agents are in <session>/subagents/, or beside it, in older versions.
Links to folders are not followed, so that none leads in a circle.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tac_orchestrator.errors import DatabaseUnavailable
from tac_orchestrator.ingest.claude_code.transcript import parsed_line, session_named_in

_SUBAGENT = "agent-"
_SUBAGENTS = "subagents"
_META = ".meta.json"
_SESSION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_Home = tuple[Path, str]
"""A project's folder, and a session in it."""


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


def default_folders(environment: Mapping[str, str] | None = None, *, also_missing: bool = False) -> list[Path]:
    """Where Claude Code keeps its transcripts; CLAUDE_CONFIG_DIR may name several folders with commas between them.

    Whoever watches may also want those that are not there yet.
    """
    named = (os.environ if environment is None else environment).get("CLAUDE_CONFIG_DIR", "")
    roots = [Path(part.strip()).expanduser() for part in named.split(",") if part.strip()]
    folders = [root / "projects" for root in roots or (Path.home() / ".claude", Path.home() / ".config/claude")]
    return [folder for folder in dict.fromkeys(folders) if also_missing or folder.is_dir()]


def find_sessions(paths: Iterable[Path]) -> list[SessionFiles]:
    """The sessions that these files and folders hold something of, each with all of its files.

    Raises DatabaseUnavailable for a path that is not there.
    """
    homes, loose = dict[_Home, None](), _LooseFiles()
    for path in paths:
        if not path.exists():
            raise DatabaseUnavailable(
                str(path), "there is no such file or folder", hint="Name a transcript or a folder of them."
            )
        for file in path.rglob("*.jsonl") if path.is_dir() else [_transcript_beside(path)]:
            home = _home_of(file, loose)
            if home is not None:
                homes[home] = None
    return sorted((_gathered(home, loose) for home in homes), key=lambda session: session.session_id)


def meta_file(path: Path) -> Path:
    return path.with_suffix(_META)


def read_meta(path: Path) -> dict[str, str]:
    """What Claude Code notes beside a sub-agent's transcript; nothing, if it notes nothing."""
    with suppress(OSError):
        told = parsed_line(meta_file(path).read_bytes()) or {}
        return {name: value for name, value in told.items() if isinstance(value, str)}
    return {}


class _LooseFiles:
    """Sub-agents' transcripts that lie beside those of their sessions. Each is looked into once, for its session's name."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[Path, str]] = {}

    def session_of(self, file: Path) -> str | None:
        return self._in(file.parent).get(file)

    def of(self, home: _Home) -> Iterator[Path]:
        folder, session_id = home
        return (file for file, owner in self._in(folder).items() if owner == session_id)

    def _in(self, folder: Path) -> dict[Path, str]:
        if folder not in self._folders:
            files = sorted(file for file in folder.glob(f"{_SUBAGENT}*.jsonl") if file.is_file())
            found = {file: _named_session(file) for file in files}
            self._folders[folder] = {file: session_id for file, session_id in found.items() if session_id is not None}
        return self._folders[folder]


def _home_of(file: Path, loose: _LooseFiles) -> _Home | None:
    folder = _subagents_folder(file)
    if folder is not None:
        return folder.parent.parent, folder.parent.name
    if not file.name.startswith(_SUBAGENT):
        return (file.parent, file.stem) if _is_transcript(file) else None
    session_id = loose.session_of(file)
    return None if session_id is None else (file.parent, session_id)


def _is_transcript(file: Path) -> bool:
    """Other programs keep lines of JSON, too; those of a transcript name its session. Claude Code names the file by it, which
    saves a look."""
    return _SESSION.fullmatch(file.stem) is not None or not file.is_file() or _named_session(file) is not None


def _subagents_folder(file: Path) -> Path | None:
    """The folder of sub-agents that a file is in, however deep."""
    if not file.name.startswith(_SUBAGENT):
        return None
    return next((folder for folder in file.parents if folder.name == _SUBAGENTS), None)


def _gathered(home: _Home, loose: _LooseFiles) -> SessionFiles:
    folder, session_id = home
    main = folder / f"{session_id}.jsonl"
    inside = sorted((folder / session_id / _SUBAGENTS).rglob(f"{_SUBAGENT}*.jsonl"))
    subagents = {_key_of(file): file for file in (*loose.of(home), *inside) if file.is_file()}
    return SessionFiles(session_id, main if main.is_file() else None, subagents)


def _transcript_beside(path: Path) -> Path:
    """The transcript that a file tells of: its own, if it is one."""
    return path.with_name(path.name.removesuffix(_META) + ".jsonl") if path.name.endswith(_META) else path


def _named_session(file: Path) -> str | None:
    with suppress(OSError), file.open("rb") as lines:
        return session_named_in(islice(lines, 20))
    return None


def _key_of(file: Path) -> str:
    return file.stem.removeprefix(_SUBAGENT)
