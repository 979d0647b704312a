from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import os
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tac_orchestrator.engines.base import Finding
from tac_orchestrator.engines.sqlite.files import network_file_system
from tac_orchestrator.engines.sqlite.library import is_safe, sqlite
from tac_orchestrator.ops.backup import backup
from tac_orchestrator.ops.doctor import diagnose
from tac_orchestrator.schema import migrations
from tac_orchestrator.settings import Settings


async def looked_at(path: Path | str, **settings: object) -> dict[str, Finding]:
    found = await diagnose(dataclasses.replace(Settings.from_environment({}), database=str(path), **settings))
    assert len({finding.name for finding in found}) == len(found)
    assert all(finding.remedy for finding in found if finding.state != "ok")
    return {finding.name: finding for finding in found}


async def test_each_item_is_looked_at(db, path, agent):
    found = await looked_at(path)
    assert found.keys() >= {
        "sqlite",
        "file",
        "file_system",
        "disk_space",
        "file_modes",
        "write_ahead_log",
        "journal_mode",
        "damage",
        "foreign_keys",
        "indexes",
        "statistics",
        "lock",
        "schema",
        "lost_agents",
        "growth",
        "redaction",
        "dropped_logs",
        "backups",
    }
    assert {name for name, finding in found.items() if finding.state != "ok"} <= {"backups", "sqlite"}


async def test_nothing_is_changed(db, path, agent):
    await db.close()
    before = path.read_bytes()
    await looked_at(path)
    assert path.read_bytes() == before


async def test_a_missing_store_is_told_and_not_made(path):
    found = await looked_at(path)
    assert (found["file"].state, found["backups"].state) == ("warning", "ok")
    assert not path.exists()


async def test_files_of_others_are_errors(path, sql):
    path.write_text("no database at all " * 100)
    assert (await looked_at(path))["damage"].state == "error"
    path.unlink()
    sql(path, "CREATE TABLE customers (id INTEGER)")
    assert "not a usable" in (await looked_at(path))["schema"].message


async def test_a_link_a_folder_and_a_pipe_are_errors(path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere.db")
    assert "symbolic link" in (await looked_at(path))["file"].message
    path.unlink()
    path.mkdir()
    assert "is a folder" in (await looked_at(path))["file"].message
    path.rmdir()
    os.mkfifo(path)
    assert "pipe" in (await looked_at(path))["file"].message


async def test_a_store_elsewhere_is_an_error():
    message = (await looked_at("mysql://root:geheim@host/db"))["file"].message
    assert "a store is a file, or a database of PostgreSQL" in message
    assert "geheim" not in message


@pytest.mark.parametrize(
    ("statement", "name", "state", "message"),
    [
        ("DROP INDEX idx_prompts_agent", "indexes", "error", "slow without idx_prompts_agent"),
        ("INSERT INTO agent_logs (agent_id, log_type, message) VALUES ('no', 'error', 'm')", "foreign_keys", "error", "1 rows"),
        ("PRAGMA user_version = 999", "schema", "error", "version 999"),
        ("PRAGMA journal_mode = DELETE", "journal_mode", "warning", "delete"),
        (
            "INSERT INTO agent_logs (id, agent_id, log_type, message) SELECT 200000, id, 'error', 'm' FROM agents",
            "statistics",
            "warning",
            "ANALYZE was never run",
        ),
    ],
)
async def test_what_is_wrong_in_it_is_found(db, path, agent, sql, statement, name, state, message):
    await db.close()
    sql(path, statement)
    finding = (await looked_at(path))[name]
    assert finding.state == state
    assert message in finding.message


async def test_the_remedy_for_a_missing_index_works(db, path, sql):
    await db.close()
    sql(path, "DROP INDEX idx_prompts_agent")
    program, _, statement = (await looked_at(path))["indexes"].remedy.partition(f"{path} ")
    assert program == "sqlite3 "
    sql(path, statement.strip("'"))
    assert (await looked_at(path))["indexes"].state == "ok"


async def test_an_older_store_is_told(path, sql):
    with closing(sqlite.connect(path)) as connection:
        for migration in migrations()[:-1]:
            connection.executescript(migration.sql)
    finding = (await looked_at(path))["schema"]
    assert (finding.state, f"version {len(migrations()) - 1}" in finding.message) == ("warning", True)


async def test_new_logs_are_those_of_the_last_days_in_whatever_order_they_were_stored(db, path, agent, sql):
    for message, age in (("new", 0), ("old", 40), ("also new", 2), ("older", 400)):
        at = f"{datetime.now(UTC) - timedelta(days=age):%Y-%m-%d %H:%M:%S}"
        sql(
            path,
            "INSERT INTO agent_logs (agent_id, log_type, message, created_at) VALUES (?, 'error', ?, ?)",
            agent.id,
            message,
            at,
        )
    assert "about 4 logs, 2 of them of the last 7 days" in (await looked_at(path))["growth"].message


async def test_damage_is_an_error(db, path, past):
    await past(prompts=200)
    await db.close()
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 65536)
    assert (await looked_at(path))["damage"].state == "error"


async def test_a_store_that_another_process_holds_is_told_with_its_number(db, path, python):
    holder = python(_HOLD, path, "BEGIN IMMEDIATE")
    assert holder.stdout.readline() == "held\n"
    finding = (await looked_at(path))["lock"]
    assert (finding.state, f"process {holder.pid}" in finding.message) == ("warning", True)


async def test_a_store_that_nobody_else_can_even_read_is_told(db, path, python):
    await db.close()
    holder = python(_HOLD, path, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE")
    assert holder.stdout.readline() == "held\n"
    found = await looked_at(path)
    assert found["lock"].state == "error"
    assert (found["disk_space"].state, found["backups"].state) == ("ok", "warning")


_HOLD = """
import sys
from tac_orchestrator.engines.sqlite.library import sqlite

connection = sqlite.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement)
print("held", flush=True)
sys.stdin.read()
"""


async def test_a_queue_that_does_not_move_is_told(db, path, agent):
    with path.with_name(f"{path.name}-lock").open("r+") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        assert (await looked_at(path))["lock"].state == "warning"
    assert (await looked_at(path))["lock"].state == "ok"


async def test_files_that_others_may_read_are_told(db, path, agent):
    path.chmod(0o644)
    finding = (await looked_at(path))["file_modes"]
    assert (finding.state, finding.remedy) == ("warning", f"chmod 600 {path}")


async def test_a_log_that_has_grown_is_told(db, path, agent):
    os.truncate(path.with_name(f"{path.name}-wal"), 300_000_000)
    assert (await looked_at(path))["write_ahead_log"].state == "warning"


async def test_agents_whose_process_is_gone_are_told_and_not_closed(db, path, recorder):
    process = recorder(path)
    assert (await looked_at(path))["lost_agents"].message.startswith("none; 1 agents run in process")
    process.kill()
    process.wait()
    finding = (await looked_at(path))["lost_agents"]
    assert (finding.state, f"process {process.pid}" in finding.message) == ("warning", True)
    assert len(await db.agents.list(status="executing")) + len(await db.agents.list(status="initializing")) == 1


async def test_backups_are_told_with_their_age(db, path):
    assert (await looked_at(path))["backups"].state == "warning"
    made = await backup(db)
    assert (await looked_at(path))["backups"].state == "ok"
    old = datetime.now(UTC) - timedelta(days=3)
    made.path.rename(made.path.with_name(f"{path.stem}-{old:%Y%m%dT%H%M%SZ}.db"))
    finding = (await looked_at(path))["backups"]
    assert (finding.state, f"{old:%Y-%m-%d %H:%M}" in finding.message) == ("warning", True)


async def test_a_store_that_git_would_take_is_told(db, path, agent):
    assert "no git repository" in (await looked_at(path))["gitignore"].message
    await asyncio.to_thread(subprocess.run, ["git", "init", "-q", path.parent], check=True)
    finding = (await looked_at(path))["gitignore"]
    assert (finding.state, path.name in finding.message) == ("warning", True)
    (path.parent / ".gitignore").write_text(f"{path.name}*\nbackups/\n")
    assert (await looked_at(path))["gitignore"].state == "ok"


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        ("{}", "warning"),
        ('{"cleanupPeriodDays": 3650}', "ok"),
        ('{"cleanupPeriodDays": 0}', "warning"),
        ("not json", "warning"),
    ],
)
async def test_transcripts_that_are_deleted_soon_are_told(path, tmp_path, monkeypatch, settings, state):
    assert "transcripts" not in await looked_at(path)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    (tmp_path / "claude").mkdir()
    (tmp_path / "claude" / "settings.json").write_text(settings)
    assert (await looked_at(path))["transcripts"].state == state


async def test_redaction_is_told_when_it_is_off_with_what_it_has_done(db, path):
    await db.system_logs.create("api", "sk-ant-api03-" + "a1B2" * 24)
    assert (await looked_at(path))["redaction"].message.startswith("1 secrets were kept out: 1 ")
    assert (await looked_at(path, redact=False))["redaction"].state == "warning"


async def test_logs_that_could_not_be_kept_are_told(db, path):
    await db.system_logs.create("database", "dropped", log_level="WARNING", details={"dropped": 7})
    assert "7 logs" in (await looked_at(path))["dropped_logs"].message


async def test_a_library_that_can_corrupt_is_told_from_one_that_cannot():
    safe = [(3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 52, 0)]
    assert [version for version in [*safe, (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 2)] if is_safe(version)] == safe


async def test_a_network_file_system_is_known_by_its_mount(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw - ext4 /dev/sda rw\n"
        f"22 21 0:5 / {tmp_path} rw shared:1 - nfs4 server:/x rw\n"
        f"23 22 0:6 / {tmp_path}/local\\040disk rw - ext4 /dev/sdb rw\n"
    )
    (tmp_path / "local disk").mkdir()
    assert network_file_system(tmp_path / "a.db", mounts) == "nfs4"
    assert network_file_system(tmp_path / "local disk" / "a.db", mounts) is None
    assert network_file_system(Path("/a.db"), mounts) is None
