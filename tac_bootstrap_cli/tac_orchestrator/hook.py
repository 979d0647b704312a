"""What Claude Code calls at each of its hooks: writes down what it is told, in a file beside the store, and nothing else.

    python -I -S hook.py [STORE] < what-the-hook-is-told.json

Claude Code waits for it, reads what it prints, and obeys its exit code. So it prints nothing, always exits with 0, never waits
for the store, and starts in milliseconds: nothing is imported but what Python itself has loaded anyway. Whoever opens the store
next takes the file in, see `tac_orchestrator.ingest.spool`.
"""

# pathlib and typing take as long to load as all the rest.
# ruff: noqa: PTH100, PTH103, PTH110, PTH111, PTH112, PTH118, PTH120, PTH208

from __future__ import annotations

import os
import sys
import time
from os import path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUFFIX = "-hooks"
"""Behind the name of the store, so that what git and backups leave alone about it is left alone here, too."""

MAX_SPOOL = 64 * 1024 * 1024
"""Bytes that wait for somebody to take them in. What comes after them is lost."""

MAX_LINE = 1024 * 1024
_LONG_TEXT = 20_000
_LONG_LIST = 1000
_ATTEMPTS = 20
_PAUSE_S = 0.001


def spool_of(store: str) -> str:
    return f"{store}{SUFFIX}"


def has_spool(store: str) -> bool:
    """Whether something waits to be taken in."""
    folder, name = path.split(spool_of(store))
    try:
        return any(found.startswith(name) for found in os.listdir(folder or "."))
    except OSError:
        return False


def main() -> None:
    """Whatever goes wrong, nobody is told: there is nobody here to tell it to."""
    try:
        data = sys.stdin.buffer.read()
        line = b'{"at":%d,"hook":%s}\n' % (time.time_ns() // 1000, _on_one_line(data))
        _append(spool_of(sys.argv[1] if len(sys.argv) > 1 else _store()), line)
    except BaseException:  # noqa: S110
        pass
    os._exit(0)


def _store() -> str:
    """The same as `Settings.from_environment` says, without loading it."""
    named = os.environ.get("TAC_ORCHESTRATOR_DB")
    if named and "://" not in named:  # beside a server nothing can lie
        return path.expanduser(named)
    start = folder = path.abspath(os.environ.get("CLAUDE_PROJECT_DIR") or ".")
    while not (path.isdir(path.join(folder, "adws")) or path.exists(path.join(folder, ".git"))):
        if folder == path.dirname(folder):
            folder = start
            break
        folder = path.dirname(folder)
    place = path.join(folder, "adws", "schema")
    if path.isdir(path.dirname(place)) and not path.isdir(place):  # nothing else is in it where the store is in a server
        os.makedirs(place, exist_ok=True)
    return path.join(place, "orchestrator.db")


def _on_one_line(data: bytes) -> bytes:
    """A line break stands only between the parts of JSON, never in its texts."""
    return data.replace(b"\r", b" ").replace(b"\n", b" ").strip() if len(data) <= MAX_LINE else _shortened(data)


def _shortened(data: bytes) -> bytes:
    import json

    return json.dumps(_cut(json.loads(data))).encode()[: 4 * MAX_LINE]


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_LONG_TEXT]
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [_cut(item) for item in items[:_LONG_LIST]]
    if isinstance(value, dict):
        members: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {name: _cut(item) for name, item in members.items()}
    return value


def _append(spool: str, line: bytes) -> None:
    """In one piece, and not to a file that somebody has just taken away."""
    for attempt in range(_ATTEMPTS):
        descriptor = os.open(spool, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            if _is_held(descriptor, spool) or attempt == _ATTEMPTS - 1:
                if os.fstat(descriptor).st_size < MAX_SPOOL:
                    os.write(descriptor, line)
                return
        finally:
            os.close(descriptor)
        time.sleep(_PAUSE_S)


def _is_held(descriptor: int, spool: str) -> bool:
    """Locked, and still the file of this name."""
    try:
        import fcntl
    except ImportError:  # without locks, a line may be lost in the moment in which the file is taken in
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.samestat(os.fstat(descriptor), os.lstat(spool))
    except OSError:
        return False


if __name__ == "__main__":
    main()
