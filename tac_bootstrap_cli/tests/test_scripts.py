from __future__ import annotations

import asyncio
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent

SCRIPTS = Path(__file__).parents[2] / "scripts"


def set_up(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(SCRIPTS / "setup_database.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, **options)


def test_the_store_is_made_where_the_caller_says_and_its_place_is_printed(tmp_path: Path) -> None:
    done = set_up("new folder/store.db", cwd=tmp_path)

    path = tmp_path / "new folder" / "store.db"
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_environment_says_where_the_store_is_if_nobody_else_does(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", path.name)

    assert set_up(cwd=tmp_path).stdout == f"{path}\n"
    assert path.exists()


async def _record(path: Path) -> None:
    async with Database.open(path) as db:
        await make_agent(db)


def test_a_second_run_changes_nothing(path: Path) -> None:
    asyncio.run(_record(path))
    before = path.read_bytes()

    assert set_up(str(path)).returncode == 0
    assert path.read_bytes() == before


def test_a_file_that_is_no_store_is_left_as_it_is(path: Path) -> None:
    path.write_text("precious")

    done = set_up(str(path))

    assert done.returncode == 4
    assert "Try: " in done.stderr
    assert path.read_text() == "precious"


@pytest.mark.parametrize("arguments", [("a.db", "b.db"), ("",)])
def test_one_path_is_taken(arguments: tuple[str, ...]) -> None:
    assert set_up(*arguments).returncode == 2
