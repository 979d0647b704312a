"""What the command line says of a store in PostgreSQL where it says something else of one in a file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator.schema import migrations

from ..ingest.samples import stream
from ..postgres.plain import run_script
from ..postgres.running import Cluster, free_port
from ..store.support import connected
from .support import PROGRAM, Caller

NEWEST = len(migrations())
SECRET = "geh" + "eim"
NOTHING_THERE = "there is no database yet"

LOOKS = ("sessions", "show x", "prompts", "logs", "tail", "tail -f", "cost", "search x", "query x", "export", "reprice",
         "prune --older-than 1d")  # fmt: skip
UPKEEP = ("db check", "db vacuum", "db analyze")
SPEAKS = ("status", "db path", "db check", "db migrate", "doctor", "doctor ingest", "backup", "restore copy.db", "init",
          "query x", "transfer copy.db")  # fmt: skip

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def empty(engine: Cluster, target: str, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """A database without tables, as an administrator makes it."""
    with engine.empty_database() as url:
        monkeypatch.setenv("TAC_ORCHESTRATOR_DB", url)
        yield url


@pytest.fixture
def absent(engine: Cluster, empty: str) -> str:
    """A database that the server does not have."""
    engine.sql(f"DROP DATABASE {empty.rpartition('/')[2]}")
    return empty


@pytest.fixture
def unreachable(target: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store in a server that is not there."""
    url = f"postgresql://nobody:{SECRET}@127.0.0.1:{free_port()}/tac?sslpassword={SECRET}"
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", url)
    return url


def with_password(url: str) -> str:
    return url.replace("postgres@", f"postgres:{SECRET}@") + "?application_name=shop"


def tables(url: str) -> list[str]:
    with connected(url) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::REGNAMESPACE").fetchall()
    return sorted(row[0] for row in rows)


# Where there is no store yet


def test_looking_makes_no_tables(call: Caller, empty: str) -> None:
    for name in LOOKS:
        result = call(*name.split())
        assert (name, result.code, NOTHING_THERE in result.err, "Try: " in result.err) == (name, 4, True, True)
    assert tables(empty) == []


def test_looking_makes_no_database(call: Caller, absent: str, engine: Cluster) -> None:
    for name in (*LOOKS, *UPKEEP, "backup"):
        result = call(*name.split())
        assert (name, result.code, NOTHING_THERE in result.err) == (name, 4, True)
    assert engine.sql("SELECT 1 FROM pg_database WHERE datname = $1", absent.rpartition("/")[2]) == []


@pytest.mark.parametrize("place", ["empty", "absent"])
def test_without_a_store_people_are_told_how_to_begin(call: Caller, request: pytest.FixtureRequest, place: str) -> None:
    url: str = request.getfixturevalue(place)

    assert call("status").out.startswith(f"There is no store yet. The first recording makes it: {url}\n")
    assert call("status", "--json").json == call("db", "path", "--json").json == {"path": url, "exists": False}


def test_the_doctor_finds_nothing_wrong_where_nothing_is(call: Caller, absent: str) -> None:
    result = call("doctor", "--json")

    assert result.code == 0
    first = result.json[0]
    assert (first["name"], first["state"], NOTHING_THERE in first["message"]) == ("server", "warning", True)


@pytest.mark.parametrize("place", ["empty", "absent"])
def test_migration_makes_a_store(call: Caller, request: pytest.FixtureRequest, place: str) -> None:
    url: str = request.getfixturevalue(place)

    assert call("db", "migrate").out == f"{url}: made, with schema version {NEWEST}.\n"
    assert call("db", "migrate").out == f"{url}: schema version {NEWEST}, which is up to date.\n"
    assert call("db", "check").code == 0


def test_a_project_is_prepared_and_its_hooks_are_recorded(call: Caller, empty: str, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()

    made = call("init", "--claude-code", "--json").json
    settings = json.loads((tmp_path / ".claude" / "settings.json").read_bytes())
    [[hook]] = [group["hooks"] for group in settings["hooks"]["UserPromptSubmit"]]
    said = json.dumps({"session_id": "s-1", "hook_event_name": "UserPromptSubmit"})
    subprocess.run(["sh", "-c", hook["command"]], input=said, text=True, timeout=30, check=True)

    assert (made["root"], made["store"], made["store_made"]) == (str(tmp_path), empty, True)
    assert call("init", "--json").json["store_made"] is False
    assert "postgresql" not in hook["command"]
    assert [session["session_id"] for session in call("sessions", "--json").json] == ["s-1"]


# What is in the way


def test_what_is_older_is_brought_up_to_date_without_a_snapshot(call: Caller, empty: str) -> None:
    row = "INSERT INTO system_logs (component, message) VALUES ('api', 'started')"
    run_script(empty, *(migration.sql for migration in migrations("postgres")[:-1]), row)

    before = call("db", "check", "--json").json
    done = call("db", "migrate", "--json").json

    assert [(row["name"], row["state"]) for row in before if row["state"] != "ok"] == [("schema", "warning")]
    assert done == {"path": empty, "from_version": NEWEST - 1, "to_version": NEWEST, "snapshot": None}
    assert [log["message"] for log in call("logs", "--system", "--json").json] == ["started"]


def test_what_is_not_ours_is_left_as_it_is(call: Caller, empty: str) -> None:
    with connected(empty) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")

    assert [call(*name.split()).code for name in ("db migrate", "db vacuum", "db analyze", "sessions", "init")] == [4] * 5
    assert tables(empty) == ["customers"]


def test_a_server_that_is_not_there_is_an_error_that_keeps_the_password(call: Caller, unreachable: str) -> None:
    for name in (*SPEAKS, *LOOKS):
        for form in ([], ["--json"]):
            result = call(*name.split(), *form)
            assert SECRET not in result.out + result.err, name
            assert result.code == (0 if name == "db path" and not form else 1 if "doctor" in name else 4), name


def test_a_server_that_is_not_there_costs_the_record_and_not_the_work(unreachable: str, program: Run) -> None:
    said = stream("claude-code-basic").read_text()

    piped = program("ingest", "stream-json", input=said)
    run = program("exec", "--agent", "tester", "--", "sh", "-c", "echo worked; exit 7")

    assert (piped.returncode, piped.stdout, piped.stderr.count("Warning: ")) == (0, said, 1)
    assert (run.returncode, run.stdout, run.stderr.count("Warning: ")) == (7, "worked\n", 1)
    assert SECRET not in piped.stderr + run.stderr


# What belongs to the server


@pytest.mark.parametrize(
    ("arguments", "sentence", "remedy"),
    [
        (("backup",), "backups of a server are the server's", "pg_dump"),
        (("backup", "copy.db"), "backups of a server are the server's", "pg_dump"),
        (("restore", "copy.db", "--replace"), "a server is restored with its own programs", "pg_restore"),
    ],
)
def test_backups_are_the_servers_own(
    call: Caller, store: str, tmp_path: Path, arguments: tuple[str, ...], sentence: str, remedy: str
) -> None:
    result = call(*arguments)

    told, hint = result.err.splitlines()
    assert (result.code, result.out, told) == (4, "", f"Error: {store}: {sentence}.")
    assert hint.startswith(f"Try: {remedy} ")
    assert [file.name for file in tmp_path.iterdir() if file.name != "home"] == []


def test_compaction_says_what_it_gave_back(call: Caller, store: str) -> None:
    done = call("db", "vacuum", "--json").json

    assert done["bytes_before"] > 1_000_000 < done["bytes_after"]
    assert call("db", "vacuum").out.endswith(" now.\n")
    assert call("db", "check").code == 0


def test_who_asks_in_wrong_sql_is_told_where_the_tables_are(call: Caller, store: str) -> None:
    wrong = json.loads(call("query", "SELECT nothing FROM agents", "--json").err)

    told = call("query", wrong["hint"].split('"')[1], "--json").json
    assert {"table_name": "agents", "column_name": "session_id"} in told


# What others are told of it


def test_no_command_shows_the_password(call: Caller, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", with_password(store))
    for name in SPEAKS:
        for form in ([], ["--json"]):
            result = call(*name.split(), *form)
            assert SECRET not in result.out + result.err, name
            assert "Traceback" not in result.err, name


def test_a_command_finds_the_store_that_it_is_recorded_in(target: str, program: Run) -> None:
    url = with_password(target)

    shown = program("exec", "--db", url, "--agent", "outer", "--", "printenv", "TAC_ORCHESTRATOR_DB").stdout
    program("exec", "--db", url, "--agent", "outer", "--", PROGRAM, "exec", "--agent", "inner", "--", "true")

    assert shown == f"{url}\n"
    assert _names(program("sessions", "--json")) == 2
    agents = json.loads(program("query", "SELECT COUNT(parent_agent_id) AS children FROM agents", "--json").stdout)
    assert agents == [{"children": 1}]


def _names(done: subprocess.CompletedProcess[str]) -> int:
    return len(json.loads(done.stdout))


def test_a_store_in_a_file_is_moved_there_and_back(call: Caller, empty: str, tmp_path: Path) -> None:
    file, back = str(tmp_path / "file.db"), str(tmp_path / "back.db")
    subprocess.run([PROGRAM, "exec", "--db", file, "--agent", "tester", "--session", "s", "--", "true"], check=True)

    there: Any = call("transfer", empty, "--db", file, "--json").json
    again = call("transfer", back, "--json").json

    assert (there["source"], there["target"], there["is_moved"]) == (file, empty, True)
    assert (again["source"], again["target"], again["tables"]) == (empty, back, there["tables"])
    assert call("sessions", "--json").json == call("sessions", "--db", file, "--json").json
