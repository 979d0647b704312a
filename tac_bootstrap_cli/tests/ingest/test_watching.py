"""Following what other programs write, while they write it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tac_orchestrator import Database
from tac_orchestrator.errors import NotFound
from tac_orchestrator.ingest.adw import import_adw, watch_adw
from tac_orchestrator.ingest.claude_code import Report, import_claude_code, watch_claude_code

from .samples import contents, expected, main_transcript, projects, stream, transcript_files

SUBAGENTS = "claude-code-subagents"
BASIC = "claude-code-basic"

# Writes files into a folder as their programs do: line by line, a half of each first, and folders when they are needed.
WRITER = """
import sys
from pathlib import Path
source, target = map(Path, sys.argv[1:])
for file in sorted(path for path in source.rglob("*") if path.is_file()):
    place = target / file.relative_to(source)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("ab", buffering=0) as stream:
        for line in file.read_bytes().splitlines(keepends=True):
            stream.write(line[: len(line) // 2])
            stream.write(line[len(line) // 2 :])
"""


@pytest.fixture
async def other(tmp_path: Path) -> AsyncGenerator[Database]:
    async with Database.open(tmp_path / "other.db") as database:
        yield database


@asynccontextmanager
async def watching(reports: AsyncGenerator[Report]) -> AsyncIterator[list[Report]]:
    """Somebody watches during the block, from the first report on, and is interrupted at its end."""
    seen = list[Report]()
    began = asyncio.Event()

    async def watch() -> None:
        async for report in reports:
            seen.append(report)
            began.set()

    task = asyncio.create_task(watch())
    await asyncio.wait_for(began.wait(), 20)
    yield seen
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    await reports.aclose()


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await is_so():  # noqa: ASYNC110 - a store tells of nothing by events
            await asyncio.sleep(0.02)


async def write_as_a_program(source: Path, target: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(source), str(target))
    assert await process.wait() == 0


async def test_a_session_with_sub_agents_is_followed_as_it_is_written(db: Database, other: Database, tmp_path: Path) -> None:
    """Into a folder that is not there when the watch begins."""
    folder = tmp_path / "home" / "projects"
    await import_claude_code(other, [projects(SUBAGENTS)])
    complete = await contents(other)

    async def is_complete() -> bool:
        return await contents(db) == complete

    async with watching(watch_claude_code(db, [folder])) as seen:
        assert seen[0] == Report()
        await write_as_a_program(projects(SUBAGENTS), folder)
        await until(is_complete)


async def test_a_workflow_is_followed_as_it_is_written(db: Database, tmp_path: Path) -> None:
    source, agents = tmp_path / "source", tmp_path / "agents"
    (source / "a1b2" / "builder" / "prompts").mkdir(parents=True)
    (source / "a1b2" / "builder" / "prompts" / "implement.txt").write_text("/implement")
    (source / "a1b2" / "builder" / "raw_output.jsonl").write_bytes(stream(BASIC).read_bytes())
    (source / "a1b2" / "adw_state.json").write_text('{"adw_id": "a1b2"}')

    async def is_complete() -> bool:
        try:
            session = await db.sessions.get("a1b2")
        except NotFound:
            return False
        return (session.agent_count, session.status) == (2, "completed") and session.cost_usd is not None

    async with watching(watch_adw(db, agents)):
        await write_as_a_program(source, agents)
        await until(is_complete)
    assert (await import_adw(db, agents)).changed_rows == 0


async def test_a_folder_that_goes_and_comes_again_is_followed(db: Database, tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    folder.mkdir()

    async def is_there() -> bool:
        return bool(await db.sessions.list())

    async with watching(watch_claude_code(db, [folder])):
        folder.rename(tmp_path / "gone")
        await write_as_a_program(projects(BASIC), folder)
        await until(is_there)


async def test_one_transcript_can_be_followed(db: Database, tmp_path: Path) -> None:
    """Also by a path through a link, and while others beside it change."""
    folder = tmp_path / "p"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    name = main_transcript(BASIC).name
    lines = main_transcript(BASIC).read_bytes().splitlines(keepends=True)
    (folder / name).write_bytes(b"".join(lines[:4]))

    async def is_complete() -> bool:
        return len(await db.prompts.list()) == expected(BASIC)["llm_calls"]

    async with watching(watch_claude_code(db, [tmp_path / "link" / name])):
        await asyncio.to_thread((folder / name).write_bytes, b"".join(lines))
        await until(is_complete)


async def test_what_was_written_while_the_watch_began_is_seen(db: Database, tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    folder.mkdir()
    reports = watch_claude_code(db, [folder])
    assert (await anext(reports)).sessions == 0
    await write_as_a_program(projects(BASIC), folder)
    assert (await asyncio.wait_for(anext(reports), 20)).prompts == expected(BASIC)["llm_calls"]
    await reports.aclose()


async def test_the_first_report_tells_what_was_there(db: Database) -> None:
    async with watching(watch_claude_code(db, [projects(SUBAGENTS)])) as seen:
        assert (seen[0].sessions, seen[0].files) == (1, 2 * len(transcript_files(SUBAGENTS)) - 1)
