from __future__ import annotations

import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from .support import PROGRAM, Caller


@pytest.fixture
def copy(call: Caller, store: Path, tmp_path: Path) -> Path:
    """A backup, after which one more session was recorded."""
    assert call("backup", str(tmp_path / "copy.db")).code == 0
    subprocess.run([PROGRAM, "exec", "--agent", "late", "--session", "later", "--", "true"], check=True)
    return tmp_path / "copy.db"


@pytest.fixture
def busy(store: Path) -> Generator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a process that has the store open until it is killed."""
    started = list[subprocess.Popen[bytes]]()

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([PROGRAM, "tail", "-f"], stdout=subprocess.PIPE))
        assert started[-1].stdout is not None
        started[-1].stdout.readline()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def sessions(call: Caller, *arguments: str) -> list[str]:
    return [row["session_id"] for row in call("sessions", "--json", *arguments).json]


def test_a_backup_becomes_a_new_store(call: Caller, copy: Path, tmp_path: Path) -> None:
    result = call("restore", str(copy), "--db", str(tmp_path / "trial.db"))

    assert result.out == f"{tmp_path / 'trial.db'} holds what was in {copy}: 2 sessions, 5 agents, 6 prompts, 12 logs.\n"
    assert sessions(call, "--db", str(tmp_path / "trial.db")) == ["issue-42", "issue-41"]


def test_a_store_is_replaced_only_on_request_and_kept(call: Caller, copy: Path, store: Path) -> None:
    refused = call("restore", str(copy))
    assert (refused.code, "--replace" in refused.err) == (5, True)
    assert sessions(call)[0] == "later"

    done = call("restore", str(copy), "--replace", "--json").json

    assert (done["path"], done["source"], done["rows"]["sessions"]) == (str(store), str(copy), 2)
    assert sessions(call) == ["issue-42", "issue-41"]
    assert sessions(call, "--db", done["kept"])[0] == "later"


def test_a_damaged_store_is_replaced_as_the_hint_says(call: Caller, copy: Path, store: Path) -> None:
    whole = store.read_bytes()
    store.write_bytes(whole[: len(whole) // 2])

    damaged = call("db", "check")
    hint = "Try: Restore the newest backup: `tac-orch restore BACKUP --replace` keeps the damaged file"
    assert (damaged.code, hint in damaged.out) == (1, True)

    assert call("restore", str(copy), "--replace").code == 0
    assert sessions(call) == ["issue-42", "issue-41"]


def test_a_store_that_is_open_is_not_replaced(call: Caller, copy: Path, busy: Callable[[], subprocess.Popen[bytes]]) -> None:
    process = busy()

    result = call("restore", str(copy), "--replace")

    assert (result.code, f"process {process.pid}" in result.err) == (4, True)
    assert sessions(call)[0] == "later"


@pytest.mark.parametrize(
    ("content", "code"), [(None, 3), (b"", 4), (b"no database, but long enough to be looked at " * 100, 4)]
)
def test_what_is_no_backup_is_refused(call: Caller, store: Path, tmp_path: Path, content: bytes | None, code: int) -> None:
    if content is not None:
        (tmp_path / "copy.db").write_bytes(content)

    result = call("restore", str(tmp_path / "copy.db"), "--replace")

    assert result.code == code
    assert sessions(call) == ["issue-42", "issue-41"]


def test_the_place_of_a_folder_is_not_taken(call: Caller, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    assert call("restore", str(copy), "--replace", "--db", str(tmp_path / "folder")).code == 4
    assert call("restore", str(copy), "--db", "/dev/null/store.db").code == 4
