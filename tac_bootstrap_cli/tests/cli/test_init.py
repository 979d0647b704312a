from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .support import Caller

MODULES = ("adw_database.py", "orch_database_models.py")


@pytest.fixture
def project(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that somebody calls from, in which there is nothing."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.delenv("TAC_ORCHESTRATOR_DB")
    monkeypatch.chdir(folder)
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_project_gets_a_store_and_the_modules_of_its_scripts(call: Caller, project: Path) -> None:
    result = call("init")

    assert result.code == 0
    assert [line.split()[-1] for line in result.out.splitlines()[:4]] == ["made"] * 4
    assert {"adws/schema/orchestrator.db", *(f"adws/adw_modules/{name}" for name in MODULES)} <= everything(project).keys()
    assert call("status", "--json").json["path"] == str(project / "adws/schema/orchestrator.db")


def test_scripts_of_the_project_can_record_at_once(call: Caller, project: Path) -> None:
    call("init")
    script = (
        "import asyncio\nfrom adw_modules.adw_database import DatabaseManager\n"
        "async def work():\n    async with DatabaseManager() as db: await db.create_system_log('INFO', 'api', 'started')\n"
        "asyncio.run(work())"
    )

    environment = {**os.environ, "PYTHONPATH": str(project / "adws")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert [log["message"] for log in call("logs", "--system", "--json").json] == ["started"]


def test_git_leaves_the_store_alone(call: Caller, project: Path) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    call("init")
    for name in ("orchestrator.db-wal", "orchestrator.db-shm"):
        (project / "adws/schema" / name).touch()

    told = subprocess.run(["git", "status", "--short", "-uall"], capture_output=True, text=True, check=True).stdout

    assert sorted(told.split()[1::2]) == [".gitignore", *(f"adws/adw_modules/{name}" for name in MODULES)]


def test_the_doctor_is_content_with_what_git_leaves_alone(call: Caller, project: Path) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    (project / "adws/schema").mkdir(parents=True)

    before, _, after = call("doctor").out, call("init"), call("doctor").out

    assert "git would take orchestrator.db, orchestrator.db-wal, orchestrator.db-shm, backups/orchestrator.db\n" in before
    assert "ok       gitignore        git leaves the store alone" in after


def test_what_git_ignored_before_is_kept(call: Caller, project: Path) -> None:
    (project / ".gitignore").write_bytes(b"*.pyc\r\nbuild")

    result = call("init")

    assert ".gitignore" in result.out
    assert "extended: git leaves the store alone" in result.out
    assert (project / ".gitignore").read_bytes().startswith(b"*.pyc\r\nbuild\r\nadws/schema/*.db\r\n")


def test_the_second_time_changes_nothing(call: Caller, project: Path) -> None:
    call("init")
    before = everything(project)

    again = call("init", "--json").json

    assert again["store_made"] is False
    assert {file["state"] for file in again["files"]} == {"there"}
    assert everything(project) == before


def test_a_module_of_ones_own_is_left_as_it_is(call: Caller, project: Path) -> None:
    own = project / "adws/adw_modules/adw_database.py"
    own.parent.mkdir(parents=True)
    own.write_text("MINE = 1\n")

    result = call("init")

    assert own.read_text() == "MINE = 1\n"
    assert "left as it is: it is your own, or of another version" in result.out


def test_the_project_that_a_folder_belongs_to_is_prepared(call: Caller, project: Path, tmp_path: Path) -> None:
    (project / ".git").mkdir()
    (project / "src").mkdir()

    told = call("init", str(project / "src"), "--db", str(tmp_path / "elsewhere.db"), "--json").json

    assert (told["root"], told["store"]) == (str(project), str(tmp_path / "elsewhere.db"))
    assert told["store_made"] is True
    assert not (project / "adws/schema/orchestrator.db").exists()


def test_a_folder_that_is_not_there_is_an_error(call: Caller, project: Path) -> None:
    result = call("init", "nowhere")

    assert (result.code, result.out, result.err) == (3, "", "Error: There is no folder 'nowhere'.\n")
    assert everything(project) == {}


def test_a_file_in_the_way_is_an_error(call: Caller, project: Path) -> None:
    (project / "adws").write_text("")

    result = call("init")

    assert (result.code, result.out) == (4, "")
    assert str(project / "adws") in result.err


def test_the_store_is_the_one_that_the_environment_names(call: Caller, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", str(project / "elsewhere.db"))

    assert call("init", "--json").json["store"] == str(project / "elsewhere.db")
    assert not (project / "adws/schema/orchestrator.db").exists()


def test_a_store_that_is_refused_leaves_the_project_as_it_is(call: Caller, project: Path) -> None:
    (project / "notes.txt").write_text("no database")

    assert call("--db", str(project / "notes.txt"), "init").code == 4
    assert everything(project).keys() == {"notes.txt"}
