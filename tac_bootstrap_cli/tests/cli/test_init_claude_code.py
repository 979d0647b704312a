"""Hooks in the settings that Claude Code has in a project: added between what is there, and taken away without a trace."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .support import Caller

SETTINGS = {
    "absent": None,
    "empty": b"{}",
    "pretty": b"""{
  "model": "opus",
  "hooks": {
    "Stop": [
      {"hooks": [{"type": "command", "command": "say done"}]}
    ]
  }
}
""",
    "without a break at its end": b'{"permissions": {"allow": ["Bash(ls:*)"]}}',
    "tabs": b'{\n\t"env": {\n\t\t"A": "\\u00e4 [1] {,}"\n\t}\n}\n',
    "of another system": b'{\r\n    "hooks": {},\r\n    "model": "opus"\r\n}\r\n',
    "strangely set": b'  { "hooks" : { "PreToolUse" : [ ] , "Stop":[{"hooks":[]}]} , "x":1 }  \n',
}


@pytest.fixture
def project(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    (folder / ".git").mkdir(parents=True)
    monkeypatch.delenv("TAC_ORCHESTRATOR_DB")
    monkeypatch.chdir(folder)
    return folder


def settings_of(project: Path, content: bytes | None) -> Path:
    path = project / ".claude" / "settings.json"
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)
    return path


def commands(settings: Any, event: str) -> list[str]:
    return [hook["command"] for group in settings["hooks"][event] for hook in group["hooks"]]


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_there_stays_and_comes_back_byte_for_byte(call: Caller, project: Path, name: str) -> None:
    content = SETTINGS[name]
    path = settings_of(project, content)

    assert call("init", "--claude-code").code == 0
    added = path.read_bytes()
    assert all(line in added for line in (content or b"").split(b"\n")[:-2] if b"hooks" not in line)
    assert b"\r\n" not in (content or b"") or b"\n" not in added.replace(b"\r\n", b"")
    for event in ("SessionStart", "PreToolUse", "Stop"):
        assert "hook.py" in commands(json.loads(added), event)[-1]
    assert call("init", "--claude-code", "--uninstall").code == 0

    assert (path.read_bytes() if path.exists() else None) == content
    assert [file.name for file in path.parent.iterdir()] == ([] if content is None else ["settings.json"])


def test_hooks_of_ones_own_go_on(call: Caller, project: Path) -> None:
    path = settings_of(project, SETTINGS["pretty"])

    call("init", "--claude-code")

    assert commands(json.loads(path.read_bytes()), "Stop")[0] == "say done"
    assert json.loads(path.read_bytes())["model"] == "opus"


def test_the_change_is_shown_and_a_copy_kept(call: Caller, project: Path) -> None:
    path = settings_of(project, SETTINGS["pretty"])

    result = call("init", "--claude-code")

    assert '+    "SessionStart": [' in result.out.splitlines()
    copy = path.with_name("settings.json.before-tac-orch")
    assert copy.read_bytes() == SETTINGS["pretty"]
    assert str(copy) in result.out


def test_the_second_time_changes_nothing(call: Caller, project: Path) -> None:
    path = settings_of(project, SETTINGS["tabs"])
    call("init", "--claude-code")
    before = {file: file.read_bytes() for file in path.parent.iterdir()}

    told = call("init", "--claude-code", "--json").json

    assert told["claude_settings_changed"] is False
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


def test_what_was_changed_since_is_kept_when_the_hooks_go(call: Caller, project: Path) -> None:
    path = settings_of(project, SETTINGS["pretty"])
    call("init", "--claude-code")
    path.write_bytes(path.read_bytes().replace(b'"model": "opus"', b'"model": "haiku"'))

    call("init", "--claude-code", "--uninstall")

    assert path.read_bytes() == (SETTINGS["pretty"] or b"").replace(b"opus", b"haiku")


@pytest.mark.parametrize("content", [b"{// mine\n}", b"", b"[]", b'{"hooks": 1}', b'{"hooks": {"Stop": {}}}', b"\xff{}"])
def test_settings_that_cannot_be_read_are_left_untouched(call: Caller, project: Path, content: bytes) -> None:
    path = settings_of(project, content)

    result = call("init", "--claude-code")

    assert (result.code, result.out) == (5, "")
    assert "settings.json" in result.err
    assert path.read_bytes() == content
    assert not (project / "adws").exists()


def test_claude_code_is_recorded_by_the_hook_as_it_stands_there(call: Caller, project: Path) -> None:
    call("init", "--claude-code")
    (command,) = commands(json.loads((project / ".claude" / "settings.json").read_bytes()), "UserPromptSubmit")

    done = subprocess.run(
        ["sh", "-c", command],
        input=json.dumps({"session_id": "s-1", "hook_event_name": "UserPromptSubmit"}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [session["session_id"] for session in call("sessions", "--json").json] == ["s-1"]


def test_where_this_python_is_not_the_hook_is_silent(call: Caller, project: Path) -> None:
    call("init", "--claude-code")
    (command,) = commands(json.loads((project / ".claude" / "settings.json").read_bytes()), "Stop")

    done = subprocess.run(["sh", "-c", command.replace("python", "no-python")], capture_output=True, timeout=30, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_uninstall_alone_is_not_understood(call: Caller, project: Path) -> None:
    assert call("init", "--uninstall").code == 2
