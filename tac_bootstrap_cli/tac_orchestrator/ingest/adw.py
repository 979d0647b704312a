"""Reads the folders that AI developer workflows (ADWs) leave behind.

    agents/{adw_id}/adw_state.json                    what the workflow knows of itself
    agents/{adw_id}/{agent}/raw_output.jsonl          what `claude -p` printed for one of its agents
    agents/{adw_id}/{agent}/prompts/{command}.txt     what the agent was told

A workflow is a session, and its agents are the children of one agent that stands for the workflow. Where Claude Code's own
transcripts of the same runs come in as well, both tell of the same agents and requests.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Progress
from tac_orchestrator.errors import DatabaseUnavailable
from tac_orchestrator.ingest.claude_code.session import SILENCE, Member, SessionRows, session_rows
from tac_orchestrator.ingest.claude_code.stream import Stream, with_times
from tac_orchestrator.ingest.claude_code.transcript import Json, parsed_line
from tac_orchestrator.ingest.identity import agent_type_of, claimed, named, row_id
from tac_orchestrator.ingest.intake import Intake, Report
from tac_orchestrator.ingest.otel.intake import keep_names
from tac_orchestrator.ingest.settlement import settle
from tac_orchestrator.ingest.watching import follow
from tac_orchestrator.models import AgentType, storable
from tac_orchestrator.tables.base import MAX_PAGE, now
from tac_orchestrator.tables.sources import Batch, Values

_LOG = logging.getLogger("tac_orchestrator")

_OUTPUTS = ("raw_output.jsonl", "cc_raw_output.jsonl")
_TRACES = ("adw_state.json", "*/prompts/*.txt", *(f"*/{name}" for name in _OUTPUTS))
_COMMAND = re.compile(r"/(\S+)")
_WORKING = frozenset(("initializing", "planning", "executing", "reviewing"))


@dataclass(frozen=True, slots=True)
class AgentFolder:
    """What one agent of a workflow has left."""

    name: str
    output: Path | None
    prompts: tuple[Path, ...]

    def files(self) -> list[Path]:
        return [*([self.output] if self.output else []), *self.prompts]

    def last_prompt(self) -> Path | None:
        """What the output answers: an agent that is told something anew writes over it."""
        return max(self.prompts, key=_modified, default=None)

    def earlier_prompts(self) -> list[Path]:
        return [path for path in self.prompts if self.output is None or path != self.last_prompt()]


def _agent_folders(workflow: Path) -> list[AgentFolder]:
    found = [_agent_folder(path) for path in sorted(workflow.iterdir()) if path.is_dir()]
    return [folder for folder in found if folder.files()]


def _agent_folder(path: Path) -> AgentFolder:
    output = next((path / name for name in _OUTPUTS if (path / name).is_file()), None)
    return AgentFolder(storable(path.name), output, tuple(sorted(path.glob("prompts/*.txt"))))


async def import_adw(database: Database, path: Path, *, progress: Progress | None = None) -> Report:
    """The workflows in this folder: one workflow's own, or one that holds those of many.

    Raises DatabaseUnavailable if there is no such folder.
    """
    report, intake, folders = Report(), Intake(database), list(_workflow_folders(path))
    for number, folder in enumerate(folders, 1):
        await _import(database, intake, folder, report)
        if progress is not None:
            progress(number, len(folders))
    return report


async def watch_adw(database: Database, path: Path) -> AsyncGenerator[Report]:
    """The same, and then everything that is added, for as long as the caller likes. A report at first, and for each change.

    The folder need not be there yet.
    """
    intake, is_first = Intake(database), True
    async with aclosing(follow([path])) as changes:
        async for changed in changes:
            report = Report()
            for folder in _touched_folders(path, changed):
                await _import(database, intake, folder, report)
            if is_first or report.changed_rows:
                yield report
            is_first = False


def _workflow_folders(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        raise DatabaseUnavailable(str(path), "there is no such folder", hint="Name the folder `agents` of a project.")
    if _is_workflow(path):
        yield path
        return
    yield from sorted(folder for folder in path.iterdir() if folder.is_dir() and _is_workflow(folder))


def _touched_folders(path: Path, changed: set[Path] | None) -> list[Path]:
    folders = list(_workflow_folders(path)) if path.is_dir() else []
    if changed is None:
        return folders
    return [folder for folder in folders if any(file.is_relative_to(folder) for file in changed)]


def _is_workflow(folder: Path) -> bool:
    return any(any(folder.glob(pattern)) for pattern in _TRACES)


async def _import(database: Database, intake: Intake, folder: Path, report: Report) -> None:
    report.sessions += 1
    agents = _agent_folders(folder)
    seen = await intake.unread([folder / "adw_state.json", *(path for agent in agents for path in agent.files())])
    if not seen:
        report.unchanged += 1
        return
    workflow = await asyncio.to_thread(_read_workflow, folder, agents)
    await workflow.adopt(database)
    report.skipped_lines += workflow.skipped
    report.unreadable_files += len(workflow.unreadable)
    read = [row for row in seen if row["path"] not in workflow.unreadable]
    for session_id, names in workflow.names:
        await keep_names(database, session_id, names)
    report.add(await intake.store(workflow.kinds, workflow.batch(read)))
    for main_id in workflow.mains:
        await settle(database, main_id)


def _read_workflow(folder: Path, agents: list[AgentFolder]) -> Workflow:
    """An agent whose files cannot be read, or have gone meanwhile, costs only what they say."""
    workflow = Workflow(folder)
    for agent in agents:
        try:
            workflow.add(agent)
        except OSError as error:
            _LOG.warning("not imported: %s", error)
            workflow.unreadable |= {storable(str(path.absolute())) for path in agent.files()}
    return workflow


class Workflow:
    """One workflow, put together from what its agents have left."""

    def __init__(self, folder: Path) -> None:
        self.adw_id = folder.name
        self.kinds: dict[str, AgentType] = {}
        self.mains: dict[str, str] = {}
        self.names = list[tuple[str, dict[str, str]]]()
        self.skipped = 0
        self.unreadable = set[str]()
        self._renamed: dict[str, str] = {}
        self._folder = folder
        self._state = _read_state(folder / "adw_state.json")
        self._root_id = row_id("adw", self.adw_id)
        self._as_of = _modified(folder)
        self._agents: list[Values] = []
        self._prompts: list[Values] = []
        self._logs: list[Values] = []

    def add(self, folder: AgentFolder) -> None:
        self.kinds[folder.name] = agent_type_of(folder.name)
        self._as_of = max(self._as_of, *map(_modified, folder.files()))
        stream, silent_id = _read_stream(folder), row_id("adw", self.adw_id, folder.name)
        if stream is None or stream.session_id is None:
            agent_id = silent_id
            self._agents.append(self._silent_agent(agent_id, folder))
        else:
            self.skipped += stream.skipped
            rows = session_rows(stream.session_id, _with_times(stream, folder), now())
            agent_id = rows.agents[0]["id"]
            self.mains[agent_id] = stream.session_id
            self.names.append((stream.session_id, rows.names))
            self._renamed[silent_id] = agent_id
            self._take(rows, folder)
        self._logs += [self._prompt_log(agent_id, folder, path) for path in folder.earlier_prompts()]

    async def adopt(self, database: Database) -> None:
        """Agents of the same runs that came in with Claude Code's own transcripts, and do not appear in a stream."""
        told = {row["id"] for row in self._agents}
        for session_id in self.mains.values():
            async with database.transaction() as undelayed:
                agents = await undelayed.agents.list(session_id=session_id, limit=MAX_PAGE)
            for agent in agents:
                if agent.id not in told:
                    kind = (await database.orchestrator_agents.get(agent.orchestrator_agent_id)).name
                    self.kinds.setdefault(kind, agent_type_of(kind))
                    self._agents.append({**claimed(dict(agent), self.adw_id), "kind": kind})

    def batch(self, files: list[Values]) -> Batch:
        self.kinds[self._root_kind] = "orchestrator"
        columns = ("cost_usd", "lease_id", "orchestrator_agent_id")
        agents = [{name: value for name, value in row.items() if name not in columns} for row in self._agents]
        return Batch([self._root(), *agents], self._prompts, self._logs, files, self._renamed)

    @property
    def _root_kind(self) -> str:
        """The first program of the workflow."""
        match self._state.get("all_adws"):
            case [str(name), *_]:
                return named(storable(name))
            case _:
                return "adw"

    def _take(self, rows: SessionRows, folder: AgentFolder) -> None:
        main, *others = rows.agents
        self._agents.append({**claimed(main, self.adw_id), "kind": folder.name, "parent_agent_id": self._root_id})
        self._agents += [claimed(row, self.adw_id) for row in others]
        self.kinds |= {name: kind for name, kind in rows.kinds.items() if any(row["kind"] == name for row in others)}
        self._prompts += rows.prompts
        self._logs += rows.agent_logs

    def _silent_agent(self, agent_id: str, folder: AgentFolder) -> Values:
        """One that was told something, and of which no output was kept, or has not begun to come."""
        began_at = min(_modified(path) for path in folder.files())
        waits = folder.output is not None and now() - _modified(folder.output) < SILENCE
        return {
            "id": agent_id,
            "kind": folder.name,
            "session_id": self.adw_id,
            "parent_agent_id": self._root_id,
            "status": "executing" if waits else "cancelled",
            "error_message": None if waits else "No output of it was kept.",
            "context": {"source": "adw", "adw_id": self.adw_id},
            "started_at": began_at,
            "completed_at": None if waits else began_at,
        }

    def _prompt_log(self, agent_id: str, folder: AgentFolder, path: Path) -> Values:
        """What an agent was told, of which the answer was not kept."""
        return {
            "agent_id": agent_id,
            "log_level": "INFO",
            "log_type": "milestone",
            "message": storable(f"/{path.stem}"),
            "details": {"prompt": _text(path)},
            "created_at": _modified(path),
            "source_key": named(f"adw:prompt:{self.adw_id}:{folder.name}:{storable(path.stem)}"),
        }

    def _root(self) -> Values:
        """The workflow itself: as the last ended of whom anything was heard, and at work as long as one of them is."""
        children = [row for row in self._agents if row["parent_agent_id"] == self._root_id]
        heard = [row for row in children if row["id"] in self.mains]
        began_at = min((row["started_at"] for row in children), default=_modified(self._folder))
        working = [row for row in children if row["status"] in _WORKING]
        last = max(heard or children, key=lambda row: row["completed_at"] or row["started_at"], default=None)
        ended_at = None if working or last is None else last["completed_at"]
        status = "executing" if working else last["status"] if last else "completed"
        told = ("issue_number", "branch_name", "plan_file", "issue_class", "worktree_path", "model_set", "all_adws")
        return {
            "id": self._root_id,
            "kind": self._root_kind,
            "session_id": self.adw_id,
            "parent_agent_id": None,
            "status": status,
            "error_message": last["error_message"] if last and status == "failed" else None,
            "context": {
                **{name: self._state[name] for name in told if self._state.get(name)},
                "source": "adw",
                "adw_id": self.adw_id,
                "as_of": self._as_of.isoformat(),
            },
            "started_at": began_at,
            "completed_at": ended_at or (began_at if last is None else None),
        }


def _read_state(path: Path) -> Json:
    """What a workflow knows of itself. Nothing, if it is about to be written, or damaged."""
    with suppress(OSError):
        return parsed_line(path.read_bytes()) or {}
    return {}


def _read_stream(folder: AgentFolder) -> Stream | None:
    if folder.output is None:
        return None
    stream, told = Stream(), folder.last_prompt()
    if told is not None:
        text = _text(told)
        command = _COMMAND.match(text)
        stream.told(text, command[1] if command else None)
    with folder.output.open("rb") as output:
        stream.read(output)
    return stream


def _with_times(stream: Stream, folder: AgentFolder) -> list[Member]:
    """The agents of a stream, which says how long its process took, but not when: that is concluded from its file, unless the
    file has been copied since."""
    assert folder.output is not None
    ended_at = _modified(folder.output)
    return with_times(stream.members(), ended_at - timedelta(milliseconds=stream.duration_ms), ended_at)


def _modified(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _text(path: Path) -> str:
    return storable(path.read_bytes().decode("utf-8", "replace"))
