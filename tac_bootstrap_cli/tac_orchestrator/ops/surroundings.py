"""What lies around a store, and can lose it or give it away: git, and the programs that it is fed from."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson

from tac_orchestrator.engines.base import Finding
from tac_orchestrator.settings import DEFAULT_DATABASE, project_root

_PATIENCE_S = 5.0
_LEAST_DAYS = 30


def ignored_by_git(store: Path) -> Finding | None:
    """Whether git leaves the store alone, and what is kept beside it. None where there is no git."""
    git = shutil.which("git")
    folder = next(folder for folder in store.absolute().parents if folder.is_dir())
    if git is None:
        return None
    files = [str(store.with_name(store.name + suffix)) for suffix in ("", "-wal", "-shm")]
    files.append(str(store.with_name("backups") / store.name))
    try:
        found = subprocess.run(  # noqa: S603
            [git, "-C", str(folder), "check-ignore", "-z", "--stdin"],
            input=b"".join(os.fsencode(file) + b"\0" for file in files),
            env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if found.returncode not in {0, 1}:
        return Finding("gitignore", "ok", "the store is in no git repository")
    return _judged(store, files, set(map(os.fsdecode, found.stdout.split(b"\0"))))


def _judged(store: Path, files: list[str], ignored: set[str]) -> Finding:
    exposed = [file for file in files if file not in ignored]
    if exposed:
        names = ", ".join(str(Path(file).relative_to(store.parent)) for file in exposed)
        is_default = store == project_root(store.parent) / DEFAULT_DATABASE
        remedy = "`tac-orch init` adds them to .gitignore." if is_default else f"Add {store.name}* and backups/ to .gitignore."
        return Finding("gitignore", "warning", f"git would take {names}", remedy)
    return Finding("gitignore", "ok", "git leaves the store alone")


def transcripts_kept(store: Path) -> Finding | None:
    """Whether Claude Code deletes its transcripts before they are imported. None where it is not in use."""
    home = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
    if not home.is_dir():
        return None
    project = project_root(store.parent) / ".claude"
    days = _first_setting([project / "settings.local.json", project / "settings.json", home / "settings.json"])
    remedy = f'`tac-orch import claude-code` now and then, or "cleanupPeriodDays": 3650 in {home / "settings.json"}'
    if days is None:
        return Finding("transcripts", "warning", f"Claude Code deletes transcripts after {_LEAST_DAYS} days", remedy)
    if days == 0:
        return Finding("transcripts", "warning", "Claude Code keeps no transcripts at all (cleanupPeriodDays is 0)", remedy)
    state = "ok" if days > _LEAST_DAYS else "warning"
    return Finding(
        "transcripts", state, f"Claude Code deletes transcripts after {days:g} days", remedy if state != "ok" else ""
    )


def _first_setting(files: list[Path]) -> float | None:
    """`cleanupPeriodDays` of the first file that has it. Files that cannot be read say nothing."""
    for file in files:
        try:
            found: Any = orjson.loads(file.read_bytes())
        except (OSError, ValueError):
            continue
        days: Any = found.get("cleanupPeriodDays") if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if isinstance(days, (int, float)):
            return days
    return None
