from __future__ import annotations

import asyncio
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tac_orchestrator import AlreadyExists, Database, DatabaseCorrupt, DatabaseUnavailable, SchemaDrift
from tac_orchestrator.errors import InvalidSetting
from tac_orchestrator.ops.backup import backup, backups_of, restore, time_of
from tac_orchestrator.schema import migrations


async def test_a_backup_holds_what_the_store_holds(db, past, tmp_path):
    await past()
    made = await backup(db, tmp_path / "copy.db")
    async with Database.open(made.path) as copy:
        assert await copy.sessions.list() == await db.sessions.list()
        assert await copy.prompts.list() == await db.prompts.list()
    assert made.rows["prompts"] == 60
    assert made.schema_version == len(migrations())
    assert made.orphans == ()


async def test_a_backup_is_one_private_file_whatever_the_umask(db, past, tmp_path):
    await past()
    before = os.umask(0)
    try:
        named, dated = await backup(db, tmp_path / "copy.db"), await backup(db)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(made.path.stat().st_mode) for made in (named, dated)] == [0o600, 0o600]
    assert stat.S_IMODE(dated.path.parent.stat().st_mode) == 0o700
    assert sorted(file.name for file in tmp_path.iterdir() if "copy" in file.name) == ["copy.db"]


async def test_a_umask_that_forbids_its_owner_to_read_is_overruled(db, tmp_path):
    before = os.umask(0o777)
    try:
        made = await backup(db)
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("taken", ["copy.db", "copy.db-wal", "copy.db-journal"])
async def test_a_backup_overwrites_nothing(db, tmp_path, taken):
    (tmp_path / taken).write_text("precious")
    with pytest.raises(AlreadyExists):
        await backup(db, tmp_path / "copy.db")
    assert (tmp_path / taken).read_text() == "precious"
    assert [file.name for file in tmp_path.glob("copy*")] == [taken]


async def test_a_link_in_the_place_of_a_backup_is_not_followed(db, tmp_path):
    (tmp_path / "copy.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(AlreadyExists):
        await backup(db, tmp_path / "copy.db")
    assert not (tmp_path / "elsewhere.db").exists()


async def test_two_backups_to_the_same_file_at_once_leave_one_of_them_whole(db, past, tmp_path):
    await past()
    both = await asyncio.gather(*(backup(db, tmp_path / "copy.db") for _ in range(2)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in both) == ["AlreadyExists", "Backup"]
    assert await _prompt_count(tmp_path / "copy.db") == 60


async def test_backups_without_a_name_are_named_by_their_time_and_kept_out_of_git(db, path):
    first, second = await backup(db), await backup(db)
    assert backups_of(path) == [first.path, second.path]
    assert abs(time_of(second.path) - second.made_at) < timedelta(seconds=1)
    assert (path.parent / "backups" / ".gitignore").read_text() == "*\n"


async def test_backups_are_removed_when_they_are_older_than_is_kept(db, path):
    folder = (await backup(db)).path.parent
    old, young = _dated(folder, days=31), _dated(folder, days=29)
    others = [
        folder / "other-20200101T000000Z.db",
        folder / "orchestrator-mine.db",
        folder / "orchestrator-20200101T000000Z.db.bak",
    ]
    for file in (old, young, *others):
        file.write_text("")
    made = await backup(db)
    assert made.removed == (old,)
    assert not old.exists()
    assert all(file.exists() for file in (young, *others, made.path))


async def test_a_backup_elsewhere_removes_none(db, path, tmp_path):
    old = _dated((await backup(db)).path.parent, days=400)
    old.write_text("")
    await backup(db, tmp_path / "copy.db")
    assert old.exists()


async def test_the_newest_backup_is_kept_whatever_its_age(db, path):
    made = await backup(db, keep=timedelta(0))
    assert made.path.exists()
    later = _dated(made.path.parent, days=-400)
    later.write_text("")
    again = await backup(db, keep=timedelta(0))
    assert (again.removed, later.exists()) == ((made.path,), True)


async def test_a_backup_is_not_kept_for_a_senseless_time(db):
    with pytest.raises(InvalidSetting):
        await backup(db, keep=timedelta(days=-1))


async def test_two_backups_in_the_same_second_have_names_of_their_own(db, path, past):
    await past()
    made = await asyncio.gather(*(backup(db) for _ in range(3)))
    assert sorted(one.path for one in made) == backups_of(path)
    assert len(backups_of(path)) == 3


async def test_a_file_that_is_named_like_a_backup_of_no_day_is_left_alone(db, path):
    strange = (await backup(db)).path.with_name("orchestrator-99999999T999999Z.db")
    strange.touch()
    await backup(db, keep=timedelta(0))
    assert strange.exists()
    assert strange not in backups_of(path)


async def test_what_is_not_there_or_not_ours_has_no_backup(path, sql):
    with pytest.raises(DatabaseUnavailable, match="no database yet"):
        await backup(Database.open(path))
    sql(path, "CREATE TABLE customers (id INTEGER)")
    with pytest.raises(SchemaDrift):
        await backup(Database.open(path))
    assert not path.with_name("backups").exists()


async def test_a_place_where_nothing_can_be_written_is_named(db, path, tmp_path):
    (tmp_path / "backups").write_text("precious")
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUnavailable, match="backups: File exists"):
        await backup(db)
    with pytest.raises(DatabaseUnavailable, match="file"):
        await backup(db, tmp_path / "file" / "copy.db")
    assert (tmp_path / "backups").read_text() == "precious"


async def test_what_a_killed_backup_left_behind_is_removed_once_it_is_old(db):
    folder = (await backup(db)).path.parent
    left, recent = (folder / f"orchestrator-20200101T000000Z.0123456{number}.db.partial" for number in (7, 8))
    for file in (left, recent):
        file.write_text("")
    os.utime(left, (0, 0))
    await backup(db)
    assert (left.exists(), recent.exists()) == (False, True)


async def test_another_backup_may_end_while_what_is_left_behind_is_looked_for(db, monkeypatch):
    folder, listing = (await backup(db)).path.parent, Path.iterdir
    anothers = folder / "orchestrator-20200101T000000Z.01234567.db.partial-journal"

    def list_and_end(folder):
        anothers.write_text("")
        found = list(listing(folder))
        anothers.unlink()
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", list_and_end)
    assert (await backup(db)).path.exists()


async def test_a_backup_beside_processes_that_write_is_of_one_moment(db, path, past, recorder, tmp_path, sql):
    await past(prompts=200)
    writers = [recorder(path, f"live {number}") for number in range(2)]
    for number in range(3):
        before = sql(path, "SELECT COUNT(*) FROM prompts")[0][0]
        made = await backup(db, tmp_path / f"copy{number}.db")
        assert made.rows["prompts"] >= before
        assert sql(made.path, "SELECT SUM(prompt_count) FROM sessions WHERE session_id LIKE 'live%'") == sql(
            made.path, "SELECT COUNT(*) FROM agents JOIN prompts ON agent_id = agents.id WHERE session_id LIKE 'live%'"
        )
    assert [writer.poll() for writer in writers] == [None, None]


async def test_a_damaged_store_makes_no_backup(db, path, past, tmp_path):
    await past(prompts=400)
    await db.close()
    _damage(path)
    store = Database.open(path)
    with pytest.raises(DatabaseCorrupt):
        await backup(store, tmp_path / "copy.db")
    assert list(tmp_path.glob("copy*")) == []


async def test_rows_that_refer_to_nothing_are_told_and_backed_up(db, path, agent, tmp_path, sql):
    sql(path, "INSERT INTO agent_logs (agent_id, log_type, message) VALUES ('nobody', 'milestone', 'lost')")
    made = await backup(db, tmp_path / "copy.db")
    assert made.orphans == ("agent_logs row 1 refers to a row of agents that does not exist",)
    assert made.rows["agent_logs"] == 1


async def test_progress_tells_how_much_is_done_and_ends_with_all_of_it(db, past, tmp_path):
    await past(prompts=300)
    told = list[tuple[int, int]]()
    await backup(db, tmp_path / "copy.db", progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1] > 0


async def test_a_cancelled_backup_leaves_nothing(db, past, tmp_path):
    await past(prompts=300)
    task = asyncio.create_task(backup(db, tmp_path / "copy.db", progress=lambda *_: task.cancel()))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.glob("copy*")) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from tac_orchestrator import Database

def die(done, total):
    if done >= total * float(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

Database.open(sys.argv[1]).engine.back_up(Path(sys.argv[2]), die)
"""


@pytest.mark.parametrize("part", [0, 0.3, 0.6, 0.9, 1])
async def test_a_killed_backup_has_no_name_and_the_next_one_is_whole(db, path, past, python, tmp_path, part):
    await past(prompts=300)
    copy = tmp_path / "copy.db"
    assert python(_KILLED, path, copy, part).wait() == -9
    assert not copy.exists()
    assert (await backup(db, copy)).rows["prompts"] == 1800


@pytest.mark.long
async def test_backups_killed_at_any_moment_are_whole_or_without_a_name(db, path, past, recorder, python, tmp_path, sql):
    await past(prompts=3000)
    recorder(path)
    for number in range(40):
        copy = tmp_path / f"copy{number}.db"
        process = python(_KILLED, path, copy, 2)
        await asyncio.sleep(0.02 * number)
        process.kill()
        process.wait()
        if copy.exists():
            assert sql(copy, "PRAGMA integrity_check") == [("ok",)]
            assert (await restore(copy, tmp_path / f"restored{number}.db")).rows["prompts"] >= 18000


def _dated(folder: Path, *, days: int) -> Path:
    return folder / f"orchestrator-{datetime.now(UTC) - timedelta(days=days):%Y%m%dT%H%M%SZ}.db"


def _damage(path: Path) -> None:
    """Writes over pages in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 16384)


async def _prompt_count(path: Path) -> int:
    async with Database.open(path) as db:
        return len(await db.prompts.list(limit=1000))
