"""The demonstration as people see it: its processes are real, and so are the tests that fail in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from .support import PROGRAM, Caller


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run([PROGRAM, *arguments], cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def named(target: Path | str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How the store is named: not at all, if it is that of the demonstration's project."""
    monkeypatch.delenv("TAC_ORCHESTRATOR_DB")
    return [] if isinstance(target, Path) else ["--db", target]


@pytest.fixture
def ask(tmp_path: Path, named: list[str]) -> Callable[..., Any]:
    """A command, called where the demonstration's project is."""

    def json_of(*arguments: str) -> Any:
        return json.loads(run(tmp_path / "tac-demo", *arguments, *named, "--json"))

    return json_of


def test_a_workflow_of_processes_is_run_recorded_and_shown(tmp_path: Path, named: list[str], ask: Callable[..., Any]) -> None:
    told = run(tmp_path, "demo", *named)

    live = told.partition("The workflow:")[0]
    for message in ("Planned 3 parts.", "Write: shop/money.py", "pytest: exit code 1", "pytest: done", "Approved."):
        assert message in live, message
    assert "demo-1" in told
    assert f"What to try next, in tac-demo{', with the same --db' if named else ''}:" in told
    assert "The page: http://127.0.0.1:7717/sessions/demo-1\n" in told

    agents = ask("query", _AGENTS)
    assert [(agent["name"], agent["parent"], agent["status"]) for agent in agents] == [
        ("feature_workflow", None, "completed"),
        ("planner", "feature_workflow", "completed"),
        ("builder", "planner", "completed"),
        ("builder", "planner", "completed"),
        ("builder", "planner", "completed"),
        ("tester", "feature_workflow", "failed"),
        ("fixer", "feature_workflow", "completed"),
        ("tester", "feature_workflow", "completed"),
        ("reviewer", "feature_workflow", "completed"),
    ]
    _assert_builders_worked_side_by_side([agent for agent in agents if agent["name"] == "builder"])
    assert len(ask("sessions")) == 3
    assert _pytest_passes(tmp_path / "tac-demo")


_AGENTS = """
SELECT k.name, pk.name AS parent, a.status, a.completed_at, leases.process_started_at FROM agents a
LEFT JOIN leases ON leases.id = a.lease_id
JOIN orchestrator_agents k ON k.id = a.orchestrator_agent_id
LEFT JOIN agents p ON p.id = a.parent_agent_id LEFT JOIN orchestrator_agents pk ON pk.id = p.orchestrator_agent_id
WHERE a.session_id = 'demo-1' ORDER BY a.started_at
"""


def _assert_builders_worked_side_by_side(builders: list[dict[str, Any]]) -> None:
    """Every process began before the first of them was done."""
    first_end = min(datetime.fromisoformat(builder["completed_at"]).replace(tzinfo=UTC) for builder in builders)
    begun = [builder["process_started_at"].split()[0] for builder in builders]
    assert all(datetime.fromisoformat(start) < first_end for start in begun)


def _pytest_passes(project: Path) -> bool:
    command = [str(Path(PROGRAM).with_name("python")), "-m", "pytest"]
    return subprocess.run(command, cwd=project, capture_output=True, check=False).returncode == 0


def test_a_second_one_stands_beside_the_first_in_any_store_and_is_open_in_the_browser_until_it_is_interrupted(
    tmp_path: Path, target: Path | str, ask: Callable[..., Any]
) -> None:
    elsewhere = ["--db", str(target)]
    first = json.loads(run(tmp_path, "demo", *elsewhere, "--json"))
    opened = _browser(tmp_path)
    with _demo_in_browser(tmp_path, opened, elsewhere) as second:
        address, _, code = opened.with_suffix(".txt").read_text().strip().partition("#login=")
        shown = _shown_to_browser(address, code, second["session_id"])
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(address)

    assert (first["session_id"], second["session_id"]) == ("demo-1", "demo-2")
    assert first["sessions_imported"] == second["sessions_imported"] == 2
    assert first["store"] == second["store"] == str(target)
    sessions = {session["session_id"]: session for session in ask("sessions", *elsewhere)}
    assert len(sessions) == 4
    assert {sessions[name]["agent_count"] for name in ("demo-1", "demo-2")} == {9}
    assert (address.partition("/sessions/")[2], shown["agent_count"]) == ("demo-2", 9)


def _browser(folder: Path) -> Path:
    """A browser that writes down what it was told to open."""
    program = folder / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" > {program}.txt\n')
    program.chmod(0o755)
    return program


@contextmanager
def _demo_in_browser(folder: Path, browser: Path, named: list[str]) -> Generator[dict[str, Any]]:
    """While its page can be seen. Then it is interrupted, and has to end well."""
    environment = {**os.environ, "BROWSER": str(browser), "TAC_ORCHESTRATOR_TOKEN": "a-token-for-tests-only"}
    with subprocess.Popen(
        [PROGRAM, "demo", *named, "--open", "--json"], cwd=folder, env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        told = b""
        while not told.rstrip().endswith(b"}"):
            told += process.stdout.readline() or pytest.fail("it has ended by itself")
        yield json.loads(told)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def _shown_to_browser(address: str, code: str, session: str) -> Any:
    with httpx2.Client(base_url=address.partition("/sessions/")[0]) as client:
        assert client.post("/api/login", json={"code": code}).status_code == 204
        return client.get(f"/api/sessions/{session}").json()


def test_a_folder_of_somebodys_own_is_left_alone(call: Caller, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "notes.txt").write_text("mine")

    result = call("demo", str(own))

    assert (result.code, result.out) == (2, "")
    assert "new, empty, or of an earlier demonstration" in result.err
    assert [path.name for path in own.iterdir()] == ["notes.txt"]
