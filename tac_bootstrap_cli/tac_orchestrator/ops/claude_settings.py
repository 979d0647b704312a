"""Adds our hook to the settings that Claude Code has in a project, and takes it away again.

The file is somebody's own: what is added is put between what is there, which stays byte for byte. A copy of the file as it was
is kept beside it; as long as nobody else has changed the file since, taking the hook away puts that copy back.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # pyright: ignore
from pathlib import Path
from typing import Any, cast

from tac_orchestrator import hook
from tac_orchestrator.errors import DatabaseUnavailable, InvalidRecord

_EVENTS = (
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PermissionRequest",
    "Notification",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "Stop",
    "StopFailure",
    "SessionEnd",
)
_MARK = "tac_orchestrator/hook.py"
_WITH_MATCHER = frozenset(("PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest"))
_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Change:
    """What the file is, and what it is to become. None: it is not there."""

    path: Path
    before: bytes | None
    after: bytes | None

    @property
    def backup(self) -> Path:
        return self.path.with_name(f"{self.path.name}.before-tac-orch")

    def apply(self) -> None:
        """Raises DatabaseUnavailable if it cannot be written."""
        try:
            self._apply()
        except OSError as error:
            raise DatabaseUnavailable(str(self.path), f"it cannot be written: {error.strerror or error}") from error

    def _apply(self) -> None:
        if self.after is None:
            self.path.unlink()
            return
        self.path.parent.mkdir(exist_ok=True)
        target = self.path.resolve()
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        partial.write_bytes(self.after)
        if self.before is not None:
            partial.chmod(target.stat().st_mode & 0o7777)
        partial.replace(target)


def install(root: Path, store: str | None) -> Change:
    """`store` is where the hook writes to, unless it is the project's own. Raises InvalidRecord for a file that is no JSON."""
    path = root / ".claude" / "settings.json"
    before = _content(path)
    text = "{}\n" if before is None else _text(path, before)
    for event in _EVENTS:
        text = _with_event(text, event, _command(root, store))
    return Change(path, before, before if before is not None and text == _text(path, before) else text.encode())


def has_hooks(root: Path) -> bool:
    """Whether our hook is among the settings of this project."""
    try:
        return _MARK.encode() in (root / ".claude" / "settings.json").read_bytes()
    except OSError:
        return False


def keep_backup(change: Change) -> Path | None:
    """A copy of the file as it was before our hook was in it; made once."""
    if change.before is None or _MARK.encode() in change.before or change.backup.exists():
        return None
    change.backup.write_bytes(change.before)
    change.backup.chmod(change.path.stat().st_mode & 0o7777)
    return change.backup


def uninstall(root: Path, store: str | None) -> Change:
    """Raises InvalidRecord for a file that is no JSON."""
    path = root / ".claude" / "settings.json"
    before = _content(path)
    change = Change(path, before, before)
    if before is None or _MARK.encode() not in before:
        return change
    kept = _content(change.backup)
    if kept is not None and _installed(path, kept, root, store) == before:
        return Change(path, before, kept)
    after = _without_ours(_text(path, before))
    is_ours = kept is None and json.loads(after) == {}
    return Change(path, before, None if is_ours else after.encode())


def _installed(path: Path, kept: bytes, root: Path, store: str | None) -> bytes:
    text = _text(path, kept)
    for event in _EVENTS:
        text = _with_event(text, event, _command(root, store))
    return text.encode()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _text(path: Path, data: bytes) -> str:
    """Raises InvalidRecord unless it holds settings that can be added to."""
    try:
        text = data.decode()
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRecord(str(path), f"it is no JSON: {error}", hint="Mend it; nothing was changed.") from error
    hooks: Any = cast(dict[str, Any], found).get("hooks", {}) if isinstance(found, dict) else None
    groups = cast(dict[str, Any], hooks).values() if isinstance(hooks, dict) else ()
    if not isinstance(hooks, dict) or not all(isinstance(group, list) for group in groups):
        raise InvalidRecord(str(path), "it holds no settings of Claude Code", hint="Mend it; nothing was changed.")
    return text


def _command(root: Path, store: str | None) -> str:
    """Silent also where this Python is not. What is inside the project is named from there, for those who share the file."""
    words = [_named(sys.executable, root), "-I", "-S", _named(str(Path(hook.__file__)), root)]
    words += [shlex.quote(store)] if store else []
    return f"{' '.join(words)} >/dev/null 2>&1 || true"


def _named(path: str, root: Path) -> str:
    if Path(path).is_relative_to(root):
        return f'"$CLAUDE_PROJECT_DIR"/{shlex.quote(Path(path).relative_to(root).as_posix())}'
    return shlex.quote(path)


@dataclass(frozen=True, slots=True)
class _Container:
    """An object or a list in a text: where its brackets and its members are. A member of an object begins with its name."""

    opened: int
    closed: int
    members: Sequence[tuple[str | None, int, int, int]]
    """Name, and where the member, its value and the value's end are."""

    def named(self, name: str) -> tuple[int, int] | None:
        return next(((value, end) for found, _, value, end in reversed(self.members) if found == name), None)


def _container(text: str, at: int) -> _Container:
    opened, closing, found = at, "}" if text[at] == "{" else "]", list[tuple[str | None, int, int, int]]()
    at = _skip(text, at + 1)
    while text[at] != closing:
        start, name = at, None
        if closing == "}":
            name, at = cast(tuple[str, int], scanstring(text, at + 1))
            at = _skip(text, _skip(text, at) + 1)
        end = _DECODER.raw_decode(text, at)[1]
        found.append((name, start, at, end))
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at
    return _Container(opened, at, found)


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _with_event(text: str, event: str, command: str) -> str:
    """With our hook among those of an event, unless it is there."""
    group: dict[str, Any] = {"matcher": "*"} if event in _WITH_MATCHER else {}
    group["hooks"] = [{"type": "command", "command": command}]
    top = _container(text, _skip(text, 0))
    hooks = top.named("hooks")
    if hooks is None:
        return _added(text, top, 1, "hooks", {event: [group]})
    of_hooks = _container(text, hooks[0])
    there = of_hooks.named(event)
    if there is None:
        return _added(text, of_hooks, 2, event, [group])
    if _MARK in text[there[0] : there[1]]:
        return text
    return _added(text, _container(text, there[0]), 3, None, group)


def _added(text: str, container: _Container, depth: int, name: str | None, value: Any) -> str:
    """With one more member, behind the others and set as they are."""
    if container.members:
        space = text[container.opened + 1 : container.members[0][1]]
        shown = _shown(name, value, space)
        at = container.members[-1][3]
        return f"{text[:at]},{space if space else ' '}{shown}{text[at:]}"
    end = "\r\n" if "\r\n" in text else "\n"
    space, tail = f"{end}{'  ' * depth}", f"{end}{'  ' * (depth - 1)}"
    return f"{text[: container.opened + 1]}{space}{_shown(name, value, space)}{tail}{text[container.closed :]}"


def _shown(name: str | None, value: Any, space: str) -> str:
    unit = None if "\n" not in space else "\t" if "\t" in space else 2
    shown = json.dumps(value, indent=unit).replace("\n", space)
    return shown if name is None else f"{json.dumps(name)}: {shown}"


def _without_ours(text: str) -> str:
    """Without our hook, and without what is empty then."""
    for event in _EVENTS:
        top = _container(text, _skip(text, 0))
        hooks = top.named("hooks")
        there = hooks and _container(text, hooks[0]).named(event)
        if not hooks or not there:
            continue
        text = _without_group(text, there[0])
        of_hooks = _container(text, hooks[0])
        there = of_hooks.named(event)
        if there and not _container(text, there[0]).members:
            text = _removed(text, of_hooks, [name for name, *_ in of_hooks.members].index(event))
        if not _container(text, hooks[0]).members:
            top = _container(text, _skip(text, 0))
            text = _removed(text, top, [name for name, *_ in top.members].index("hooks"))
    return text


def _without_group(text: str, at: int) -> str:
    groups = _container(text, at)
    for number in reversed(range(len(groups.members))):
        _, start, _, end = groups.members[number]
        if _MARK in text[start:end]:
            text = _removed(text, _container(text, at), number)
    return text


def _removed(text: str, container: _Container, number: int) -> str:
    members = container.members
    if len(members) == 1:
        return text[: container.opened + 1] + text[container.closed :]
    start, end = (members[number - 1][3], members[number][3]) if number else (members[0][1], members[1][1])
    return text[:start] + text[end:]
