"""Says what has arrived lately, from where, and what was left out and why: for those who miss something. Changes nothing."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from tac_orchestrator import hook
from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Finding
from tac_orchestrator.errors import OrchestratorError
from tac_orchestrator.models import Agent
from tac_orchestrator.ops.claude_settings import has_hooks
from tac_orchestrator.settings import Settings, project_root

_RECENTLY = timedelta(days=7)
_MANY = 1000
_LONG_AGO = timedelta(minutes=10)
_RECORDED = "recorded by programs themselves"

_NAMES = {
    "claude-code": "Claude Code's transcripts and output",
    "adw": "ADW folders",
    "otel": "OpenTelemetry",
    "hooks": "hooks alone",
}


async def diagnose_arrivals(settings: Settings) -> list[Finding]:
    """What arrived in the last days. Raises nothing that the store is to blame for."""
    try:
        async with Database(settings, create=False) as db:
            findings = [*await _agents(db), await _rejected(db), await _files(db)]
            return [*findings, _spool(str(db.settings.place)), _hooks(project_root(Path.cwd()))]
    except OrchestratorError as error:
        return [Finding("store", "error", str(error), error.hint)]


async def _agents(db: Database) -> list[Finding]:
    """A line for each place that agents come from, the latest first."""
    agents = await db.agents.list(since=datetime.now(UTC) - _RECENTLY, limit=_MANY)
    if not agents:
        return [Finding("agents", "warning", "none has arrived in the last 7 days", "docs/imports.md names the ways in.")]
    latest: dict[str, Agent] = {}
    for agent in agents:
        latest[_source(agent)] = max(latest.get(_source(agent), agent), agent, key=lambda one: one.started_at)
    counts = Counter(map(_source, agents))
    return [
        Finding(
            "agents",
            "ok",
            f"{'at least ' if len(agents) == _MANY else ''}{counts[source]:,} of the last 7 days: {source}, "
            f"the last at {agent.started_at:%Y-%m-%d %H:%M} UTC in session {agent.session_id}",
        )
        for source, agent in sorted(latest.items(), key=lambda item: item[1].started_at, reverse=True)
    ]


def _source(agent: Agent) -> str:
    source = (agent.context or {}).get("source")
    return _NAMES.get(source, source) if isinstance(source, str) else _RECORDED


async def _rejected(db: Database) -> Finding:
    logs = await db.system_logs.list(component="otlp", since=datetime.now(UTC) - _RECENTLY, limit=_MANY)
    reasons = Counter[str]()
    for log in logs:
        told: Any = (log.details or {}).get("rejected")
        reasons.update(cast(dict[str, int], told) if isinstance(told, dict) else {log.message: 1})
    if not reasons:
        return Finding("rejected", "ok", "nothing that exporters have sent was left out in the last 7 days")
    shown = "; ".join(f"{count:,} × {reason}" for reason, count in reasons.most_common(5))
    return Finding("rejected", "warning", f"left out in the last 7 days: {shown}", "`tac-orch logs --system` has each.")


async def _files(db: Database) -> Finding:
    query = db.engine.queries("doctor")["files_read"]
    raw = (await db.engine.fetch(query, [db.engine.codec.time(datetime.now(UTC) - _RECENTLY)]))[0]
    last = db.engine.codec.read_time(raw["last_imported_at"]) if raw["last_imported_at"] is not None else None
    if not isinstance(last, datetime):
        return Finding("files", "ok", "none was imported in the last 7 days")
    message = f"{raw['files']:,} imported in the last 7 days, the last at {last:%Y-%m-%d %H:%M} UTC"
    if raw["skipped"]:
        remedy = "They are damaged, or of a kind that this version does not know."
        return Finding("files", "warning", f"{message}; {raw['skipped']:,} lines in them could not be read", remedy)
    return Finding("files", "ok", message)


def _spool(store: str) -> Finding:
    """What hooks have written down, and nobody has taken in yet."""
    spool = Path(hook.spool_of(store))
    found = list[os.stat_result]()
    for path in spool.parent.glob(f"{spool.name}*"):
        with suppress(FileNotFoundError):  # taken in meanwhile
            found += [path.stat()] if path.is_file() else []
    size = sum(one.st_size for one in found)
    if size >= hook.MAX_SPOOL:
        return Finding(
            "hooks_waiting", "error", f"{size:,} bytes: what hooks tell now is lost", "`tac-orch status` takes it in."
        )
    oldest = min((one.st_mtime for one in found), default=None)
    if oldest is not None and datetime.now(UTC) - datetime.fromtimestamp(oldest, UTC) > _LONG_AGO:
        return Finding("hooks_waiting", "warning", f"{size:,} bytes wait to be taken in", "`tac-orch status` takes them in.")
    return Finding("hooks_waiting", "ok", f"{size:,} bytes wait to be taken in" if size else "nothing waits to be taken in")


def _hooks(root: Path) -> Finding:
    if has_hooks(root):
        return Finding("hooks", "ok", "Claude Code has them in this project")
    return Finding("hooks", "ok", "Claude Code has none of ours in this project; `tac-orch init --claude-code` adds them")
