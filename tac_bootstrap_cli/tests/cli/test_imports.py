"""What is imported is tested with the importers; here, what the commands take and tell."""

from __future__ import annotations

import json
import re
import select
import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from ..ingest.samples import expected, lines_of, main_transcript, projects, stream, write_lines
from .support import PROGRAM, Caller

SUBAGENTS = "claude-code-subagents"
BASIC = "claude-code-basic"


def adw_folder(root: Path) -> Path:
    """The folder `agents` of a project, with a workflow of one agent."""
    output = root / "agents" / "a1b2c3d4" / "tester" / "raw_output.jsonl"
    output.parent.mkdir(parents=True)
    shutil.copy(stream(BASIC), output)
    return root / "agents"


def report(**values: int) -> dict[str, int]:
    zeros = dict.fromkeys(
        (
            "sessions",
            "new",
            "changed",
            "unchanged",
            "agents",
            "prompts",
            "agent_logs",
            "files",
            "skipped_lines",
            "unreadable_files",
        ),
        0,
    )
    return {**zeros, **values}


def test_it_says_what_was_imported(call: Caller) -> None:
    truth = expected(SUBAGENTS)

    told = call("import", "claude-code", str(projects(SUBAGENTS)), "--json").json

    assert (told["sessions"], told["new"]) == (1, 1)
    assert (told["agents"], told["prompts"]) == (truth["agents"], truth["llm_calls"])
    assert told["files"] >= truth["agents"]
    (session,) = call("sessions", "--json").json
    assert session["agent_count"] == truth["agents"]


def test_people_get_it_in_words(call: Caller) -> None:
    result = call("import", "claude-code", str(projects(SUBAGENTS)))

    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in result.out.splitlines()}
    assert lines["sessions"] == "1: 1 new, 0 changed, 0 unchanged"
    assert lines["agents"] == str(expected(SUBAGENTS)["agents"])
    assert lines["requests"] == str(expected(SUBAGENTS)["llm_calls"])
    assert re.fullmatch(r"\d+ read", lines["files"])


def test_the_second_import_changes_nothing(call: Caller) -> None:
    call("import", "claude-code", str(projects(SUBAGENTS)))

    assert call("import", "claude-code", str(projects(SUBAGENTS)), "--json").json == report(sessions=1, unchanged=1)


def test_what_was_added_since_is_added(call: Caller, tmp_path: Path) -> None:
    lines = lines_of(main_transcript(BASIC))
    path = tmp_path / "p" / main_transcript(BASIC).name
    call("import", "claude-code", str(write_lines(path, lines[: len(lines) // 2])))

    told = call("import", "claude-code", str(write_lines(path, lines)), "--json").json

    assert (told["sessions"], told["new"], told["changed"], told["unchanged"]) == (1, 0, 1, 0)
    assert 0 < told["prompts"] < expected(BASIC)["llm_calls"] + 1


def test_lines_that_cannot_be_read_are_counted(call: Caller, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p" / main_transcript(BASIC).name, lines_of(main_transcript(BASIC)))
    path.write_text(f"this is not JSON\n{path.read_text()}")

    assert "skipped   1 line that could not be read\n" in call("import", "claude-code", str(path)).out


def test_the_sessions_at_home_are_imported_by_default(call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "config"))

    nothing = call("import", "claude-code")
    shutil.copytree(projects(BASIC), tmp_path / "config" / "projects")

    assert (nothing.code, nothing.out) == (2, "")
    assert nothing.err.startswith("Error: Claude Code keeps no sessions here: name a folder")
    assert call("import", "claude-code", "--json").json["new"] == 1


def test_workflows_of_the_project_are_imported_by_default(
    call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "adws").mkdir()
    adw_folder(tmp_path)
    monkeypatch.chdir(tmp_path / "adws")

    assert call("import", "adw", "--json").json["new"] == 1
    assert [session["session_id"] for session in call("sessions", "--json").json] == ["a1b2c3d4"]
    assert call("import", "adw", str(tmp_path / "agents" / "a1b2c3d4"), "--json").json["unchanged"] == 1


@pytest.mark.parametrize("what", ["claude-code", "adw"])
def test_a_path_that_is_not_there_is_an_error_and_makes_no_store(call: Caller, path: Path, what: str) -> None:
    result = call("import", what, "nowhere")

    assert (result.code, result.out) == (3, "")
    assert "'nowhere'" in result.err.splitlines()[0]
    assert result.err.splitlines()[1] == "Try: --watch waits for it."
    assert not path.exists()


@pytest.mark.parametrize("what", ["claude-code", "adw"])
def test_a_folder_that_holds_nothing_is_no_error(call: Caller, tmp_path: Path, what: str) -> None:
    (tmp_path / "empty").mkdir()

    result = call("import", what, str(tmp_path / "empty"))

    assert (result.code, result.out, result.err) == (0, "", "No sessions.\n")


def test_many_sessions_say_how_far_they_are_on_standard_error(call: Caller, tmp_path: Path) -> None:
    lines = lines_of(main_transcript(BASIC))[:2]
    for number in range(20):
        write_lines(tmp_path / "p" / f"{number}.jsonl", lines)

    result = call("import", "claude-code", str(tmp_path / "p"), "--json")

    assert result.err == "Sessions: 20 …\n"
    assert result.json["sessions"] == 20


@contextmanager
def watching(*arguments: str) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    command = [PROGRAM, "import", *arguments, "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def read_line(output: IO[bytes]) -> str:
    """Fails rather than wait for ever."""
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([output], [], [], 30)[0], line
        line += output.read(1)
    return line.decode().rstrip("\n")


def read_json(output: IO[bytes]) -> dict[str, Any]:
    return json.loads(read_line(output))


@pytest.mark.usefixtures("target")
def test_watching_tells_what_is_there_and_then_every_change(tmp_path: Path) -> None:
    lines = lines_of(main_transcript(BASIC))
    path = write_lines(tmp_path / "p" / main_transcript(BASIC).name, lines[: len(lines) // 2])

    with watching("claude-code", str(tmp_path / "p"), "--json") as (_, output):
        first = read_json(output)
        write_lines(path, lines)
        second = read_json(output)

    assert (first["new"], second["new"], second["changed"]) == (1, 0, 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", second["at"])


@pytest.mark.usefixtures("target")
def test_a_folder_that_comes_later_is_waited_for_and_an_interrupt_ends_it(tmp_path: Path) -> None:
    with watching("adw", str(tmp_path / "agents")) as (process, output):
        assert read_line(output).partition("  ")[2] == "0 sessions"
        adw_folder(tmp_path)

        assert re.match(r"1 session, \d agents, \d+ requests?, \d+ logs?", read_line(output).partition("  ")[2])
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read().strip() == b""


@pytest.mark.usefixtures("target")
def test_watching_ends_when_its_reader_does(tmp_path: Path) -> None:
    with watching("claude-code", str(tmp_path)) as (process, output):
        read_line(output)
        output.close()

        assert process.wait(20) == 0
