"""Imports sessions one after another, each as a whole: a sub-agent's file tells less than it means without its session's."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Progress
from tac_orchestrator.ingest.claude_code.discovery import SessionFiles, find_sessions, read_meta
from tac_orchestrator.ingest.claude_code.session import Member, SessionRows, session_rows
from tac_orchestrator.ingest.claude_code.transcript import TranscriptFile
from tac_orchestrator.ingest.identity import claimed
from tac_orchestrator.ingest.intake import Intake, Report
from tac_orchestrator.ingest.otel.intake import keep_names
from tac_orchestrator.ingest.settlement import settle
from tac_orchestrator.ingest.watching import follow
from tac_orchestrator.models import storable
from tac_orchestrator.tables.base import now
from tac_orchestrator.tables.sources import Batch, Values

_LOG = logging.getLogger("tac_orchestrator")

_KEPT_OPEN = 64
"""Transcripts whose story so far a watch keeps in memory."""

_REMEMBERED = 256
"""Bytes by which a file that has grown is told from another one."""


class Importer:
    """Reads what has been added since it read last: to the files, while it watches, and of them, by the store's memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sources = database.sources
        self._intake = Intake(database)
        self._files = OpenFiles()

    async def run(self, paths: Iterable[Path], progress: Progress | None = None) -> Report:
        sessions, report = await asyncio.to_thread(find_sessions, paths), Report()
        unread = await self._intake.all_unread(session.paths() for session in sessions)
        for number, (session, seen) in enumerate(zip(sessions, unread, strict=True), 1):
            report.sessions += 1
            if seen:
                await self._import(session, seen, report)
            else:
                report.unchanged += 1
            if progress is not None:
                progress(number, len(sessions))
        return report

    async def watch(self, paths: Iterable[Path]) -> AsyncGenerator[Report]:
        """What is there, then what is added, for as long as the caller likes. A report at first, and for each change."""
        self._files = OpenFiles(_KEPT_OPEN)
        paths, is_first = list(paths), True
        async with aclosing(follow(paths)) as changes:
            async for changed in changes:
                wanted = paths if changed is None else [path for path in changed if _is_ours(path)]
                report = await self.run([path for path in wanted if path.exists()])
                if is_first or report.changed_rows:
                    yield report
                is_first = False

    async def _import(self, session: SessionFiles, seen: list[Values], report: Report) -> None:
        reading = await asyncio.to_thread(_read, session, self._files)
        rows = reading.rows
        report.skipped_lines += reading.skipped
        report.unreadable_files += len(reading.unreadable)
        unread = {storable(str(path.absolute())) for path in reading.unreadable}
        files = [{**row, "skipped_count": reading.skipped} for row in seen if row["path"] not in unread]
        if not rows.agents:
            report.unchanged += 1
            await self._sources.save(Batch(files=files), {})
            return
        await keep_names(self._database, session.session_id, rows.names)
        main = rows.agents[0]
        known = (await self._sources.known_agents([main["id"]])).get(main["id"], {"context": {}})
        agents = [main, *_at_home(rows.agents[1:], known)]
        report.add(await self._intake.store(rows.kinds, Batch(agents, rows.prompts, rows.agent_logs, files, rows.renamed)))
        if known["context"].get("reported"):
            await settle(self._database, main["id"])


def _at_home(others: list[Values], main: Values) -> list[Values]:
    """The ADW that ran the session, if it is known, has its agents in its own."""
    if main["context"].get("source") != "adw":
        return others
    return [claimed(row, main["session_id"]) for row in others]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a session's files say, as far as they can be read."""

    rows: SessionRows
    skipped: int
    unreadable: list[Path]


class OpenFiles:
    """Transcripts that have been read to some place, and may grow. Those that have not for the longest time are forgotten."""

    def __init__(self, kept: int = 0) -> None:
        self._kept = kept
        self._files: OrderedDict[Path, _OpenFile] = OrderedDict()

    def read(self, path: Path, session_id: str, key: str | None) -> TranscriptFile:
        """The file as it is now. What was read before is not read again, unless another file has taken its place."""
        with path.open("rb") as stream:
            known = self._files.pop(path, None)
            if known is None or not known.goes_on_in(stream):
                known = _OpenFile(TranscriptFile(session_id, key))
            stream.seek(known.file.read_bytes)
            known.file.read(stream)
            known.remember(stream)
        self._files[path] = known
        while len(self._files) > self._kept:
            self._files.popitem(last=False)
        return known.file


@dataclass(slots=True)
class _OpenFile:
    """A file, and by what it is known again: which one it was, and what stood before the place to which it was read."""

    file: TranscriptFile
    identity: tuple[int, int] | None = None
    last_bytes: bytes = b""

    def goes_on_in(self, stream: BinaryIO) -> bool:
        if self.identity != _identity(stream):
            return False
        stream.seek(self.file.read_bytes - len(self.last_bytes))
        return stream.read(len(self.last_bytes)) == self.last_bytes

    def remember(self, stream: BinaryIO) -> None:
        length = min(_REMEMBERED, self.file.read_bytes)
        stream.seek(self.file.read_bytes - length)
        self.identity, self.last_bytes = _identity(stream), stream.read(length)


def _identity(stream: BinaryIO) -> tuple[int, int]:
    found = os.fstat(stream.fileno())
    return found.st_dev, found.st_ino


def _read(session: SessionFiles, files: OpenFiles) -> Reading:
    """A file that cannot be read, or has gone meanwhile, costs only what it says."""
    paths: dict[str | None, Path] = {**session.subagents}
    if session.main is not None:
        paths[None] = session.main
    members, unreadable, skipped = list[Member](), list[Path](), 0
    for key, path in paths.items():
        try:
            file = files.read(path, session.session_id, key)
        except OSError as error:
            _LOG.warning("not imported: %s", error)
            unreadable.append(path)
            continue
        skipped += file.skipped
        meta = read_meta(path) if key is not None else {}
        members += [Member(transcript, meta if owner == key else {}) for owner, transcript in file.transcripts.items()]
    return Reading(session_rows(session.session_id, members, now()), skipped, unreadable)


def _is_ours(path: Path) -> bool:
    return path.name.endswith((".jsonl", ".meta.json"))
