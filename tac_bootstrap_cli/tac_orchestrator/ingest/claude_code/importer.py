"""Imports sessions one after another, each as a whole: a sub-agent's file tells less than it means without its session's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Progress
from tac_orchestrator.ingest.claude_code.discovery import SessionFiles, find_sessions, read_meta
from tac_orchestrator.ingest.claude_code.session import Member, SessionRows, session_rows
from tac_orchestrator.ingest.claude_code.settlement import settle
from tac_orchestrator.ingest.claude_code.transcript import TranscriptFile
from tac_orchestrator.ingest.identity import claimed
from tac_orchestrator.ingest.intake import Intake, Report
from tac_orchestrator.ingest.watching import follow
from tac_orchestrator.tables.base import now
from tac_orchestrator.tables.sources import Batch, Values


class Importer:
    """Reads what has been added since it read last: to the files, while it lives, and of them, by the store's memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sources = database.sources
        self._intake = Intake(database)
        self._files: dict[Path, TranscriptFile] = {}

    async def run(self, paths: Iterable[Path], progress: Progress | None = None) -> Report:
        sessions, report = find_sessions(paths), Report()
        for number, session in enumerate(sessions, 1):
            await self._import(session, report, keep=False)
            if progress is not None:
                progress(number, len(sessions))
        return report

    async def watch(self, paths: Iterable[Path]) -> AsyncGenerator[Report]:
        """What is there, then what is added, for as long as the caller likes. A report at first, and for each change."""
        paths, is_first = list(paths), True
        async with aclosing(follow(paths)) as changes:
            async for changed in changes:
                wanted = paths if changed is None else [path for path in changed if _is_ours(path)]
                report = Report()
                for session in find_sessions(path for path in wanted if path.exists()):
                    await self._import(session, report, keep=changed is not None)
                if is_first or report.changed_rows:
                    yield report
                is_first = False

    async def _import(self, session: SessionFiles, report: Report, *, keep: bool) -> None:
        report.sessions += 1
        seen = await self._intake.unread(session.paths())
        if not seen:
            report.unchanged += 1
            return
        files = self._read(session)
        rows = _rows(session, files)
        skipped = sum(file.skipped for file in files.values())
        report.skipped_lines += skipped
        agents = await self._at_home(rows.agents)
        batch = Batch(agents, rows.prompts, rows.agent_logs, [{**row, "skipped_count": skipped} for row in seen])
        report.add(await self._intake.store(rows.kinds, batch))
        await settle(self._database, rows.agents[0]["id"])
        if not keep:
            self._files.clear()

    async def _at_home(self, agents: list[Values]) -> list[Values]:
        """The ADW that ran the session, if it is known, has its agents in its own."""
        main, *others = agents
        known = (await self._sources.known_agents([main["id"]])).get(main["id"])
        if known is None or known["context"].get("source") != "adw":
            return agents
        return [main, *(claimed(row, known["session_id"]) for row in others)]

    def _read(self, session: SessionFiles) -> dict[str | None, TranscriptFile]:
        """The files as they are now. What was read before is not read again."""
        paths: dict[str | None, Path] = {**session.subagents}
        if session.main is not None:
            paths[None] = session.main
        return {key: self._read_file(path, session.session_id, key) for key, path in paths.items()}

    def _read_file(self, path: Path, session_id: str, key: str | None) -> TranscriptFile:
        file = self._files.get(path)
        if file is None or path.stat().st_size < file.read_bytes:
            file = self._files[path] = TranscriptFile(session_id, key)
        with path.open("rb") as stream:
            stream.seek(file.read_bytes)
            file.read(stream.read())
        return file


def _is_ours(path: Path) -> bool:
    return path.name.endswith((".jsonl", ".meta.json"))


def _rows(session: SessionFiles, files: dict[str | None, TranscriptFile]) -> SessionRows:
    members = list[Member]()
    for key, file in files.items():
        meta = read_meta(session.subagents[key]) if key is not None else {}
        members += [Member(transcript, meta if owner == key else {}) for owner, transcript in file.transcripts.items()]
    return session_rows(session.session_id, members, now())
