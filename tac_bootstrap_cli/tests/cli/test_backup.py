from __future__ import annotations

import resource
import stat
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.ops.backup import backups_of

from .support import PROGRAM, Caller


def test_a_backup_lies_beside_the_store_and_says_what_it_holds(call: Caller, store: Path) -> None:
    result = call("backup")

    [copy] = backups_of(store)
    assert result.out.startswith(f"{copy} (")
    assert result.out.endswith(", 2 sessions, 5 agents, 6 prompts, 12 logs), checked.\n")


def test_programs_get_the_numbers(call: Caller, store: Path, tmp_path: Path) -> None:
    made = call("backup", str(tmp_path / "copy.db"), "--json").json

    assert (made["path"], made["rows"]["prompts"], made["orphans"], made["removed"]) == (str(tmp_path / "copy.db"), 6, [], [])
    assert made["size_bytes"] == (tmp_path / "copy.db").stat().st_size


def test_backups_are_kept_as_long_as_is_said(call: Caller, store: Path) -> None:
    call("backup")
    old = store.parent / "backups" / f"{store.stem}-{datetime.now(UTC) - timedelta(days=10):%Y%m%dT%H%M%SZ}.db"
    old.touch()

    assert call("backup", "--json").json["removed"] == []
    assert call("backup", "--keep", "7d", "--json").json["removed"] == [str(old)]


@pytest.mark.parametrize("arguments", [("--keep", "soon"), ("--keep", "2100-01-01"), ("copy.db", "--keep", "7d")])
def test_what_makes_no_sense_is_an_error_of_use(call: Caller, store: Path, arguments: tuple[str, ...]) -> None:
    assert call("backup", *arguments).code == 2
    assert backups_of(store) == []


def test_nothing_is_overwritten(call: Caller, store: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")

    assert call("backup", str(tmp_path / "copy.db")).code == 5
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_without_a_store_there_is_no_backup_and_no_folder(call: Caller, path: Path) -> None:
    assert call("backup").code == 4
    assert list(path.parent.iterdir()) == []


def test_rows_that_refer_to_nothing_are_told(call: Caller, store: Path) -> None:
    with closing(sqlite.connect(store, isolation_level=None)) as connection:
        connection.execute("INSERT INTO agent_logs (agent_id, log_type, message) VALUES ('nobody', 'error', 'lost')")

    result = call("backup")

    assert (result.code, result.err) == (0, "Warning: agent_logs row 11 refers to a row of agents that does not exist\n")


def test_backups_at_once_have_names_of_their_own(store: Path) -> None:
    running = [subprocess.Popen([PROGRAM, "backup"], stdout=subprocess.DEVNULL) for _ in range(3)]

    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(backups_of(store)) == 3
    assert {stat.S_IMODE(copy.stat().st_mode) for copy in backups_of(store)} == {0o600}


def test_a_disk_that_fills_up_leaves_no_backup(store: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run([PROGRAM, "backup"], preexec_fn=limit, capture_output=True, text=True, check=False)

    assert done.returncode == 4
    assert sorted(file.name for file in (store.parent / "backups").iterdir()) == [".gitignore"]
