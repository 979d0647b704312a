"""Looks for what is known to go wrong: in the store, beside it, and with what it is fed from. Says what to do; changes nothing.

The store may be missing, refused or damaged: that is found, and the rest is looked at all the same.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Engine, Finding, RawRow
from tac_orchestrator.errors import OrchestratorError
from tac_orchestrator.ops.backup import backups_of, time_of
from tac_orchestrator.ops.checks import check_schema
from tac_orchestrator.ops.surroundings import ignored_by_git, transcripts_kept
from tac_orchestrator.settings import Settings

__all__ = ["Finding", "diagnose"]

# Who asks what is wrong does not want to wait until somebody lets go of the store.
_PATIENCE_S = 2.0

_RECENTLY = timedelta(days=7)
_OLD = timedelta(days=30)
_OLD_BACKUP = timedelta(days=2)
_MANY_LOGS = 1_000_000


async def diagnose(settings: Settings) -> list[Finding]:
    """Everything that was looked at. Raises nothing that the store is to blame for."""
    patience = min(settings.busy_timeout_s, _PATIENCE_S)
    try:
        db = Database(dataclasses.replace(settings, busy_timeout_s=patience), create=False)
    except OrchestratorError as error:
        return [_trouble("file", error)]
    try:
        findings = await asyncio.to_thread(_of_engine, db.engine)
        if any(finding.name == "schema" and finding.state == "ok" for finding in findings):
            findings += await _of_rows(db)
        findings += await asyncio.to_thread(_of_surroundings, db.settings.place, db.engine.path is not None)
    finally:
        await db.close()
    return findings


def _trouble(name: str, error: OrchestratorError) -> Finding:
    return Finding(name, "error", str(error), error.hint)


def _of_engine(engine: Engine) -> list[Finding]:
    """The schema only of what can be read."""
    findings = list[Finding]()
    try:
        findings += engine.diagnose()
        if not any(_is_unreadable(finding) for finding in findings):
            findings.append(check_schema(engine))
    except OrchestratorError as error:
        findings.append(_trouble("store", error))
    return findings


def _is_unreadable(finding: Finding) -> bool:
    return (finding.name in {"file", "damage", "server"} and finding.state != "ok") or (finding.name, finding.state) == (
        "lock",
        "error",
    )


async def _of_rows(db: Database) -> list[Finding]:
    try:
        return [await _agents(db), await _growth(db), await _redaction(db), await _dropped_logs(db)]
    except OrchestratorError as error:
        return [_trouble("rows", error)]


async def _agents(db: Database) -> Finding:
    running = await db.engine.fetch(db.engine.queries("doctor")["running"], ())
    lost = {(lease.host, lease.process_id) for lease in await db.leases.lost()}
    gone = [raw for raw in running if (raw["host"], raw["process_id"]) in lost]
    if gone:
        message = f"{_count(gone)} agents run for ever, as their process is gone: {_processes(gone)}"
        return Finding("lost_agents", "warning", message, "`tac-orch status` ends them as failed.")
    if running:
        return Finding("lost_agents", "ok", f"none; {_count(running)} agents run in {_processes(running)}")
    return Finding("lost_agents", "ok", "none; nothing runs")


def _count(rows: list[RawRow]) -> int:
    return sum(raw["agents"] for raw in rows)


def _processes(rows: list[RawRow]) -> str:
    return ", ".join(f"process {raw['process_id']} on {raw['host']}" for raw in rows)


async def _growth(db: Database) -> Finding:
    codec, at = db.engine.codec, datetime.now(UTC)
    query = db.engine.queries("doctor")["growth"]
    raw = (await db.engine.fetch(query, [codec.time(at - _RECENTLY)] * len(query.parameters)))[0]
    times = [codec.read_time(raw[name]) for name in ("oldest_agent", "oldest_system_log") if raw[name] is not None]
    if not times:
        return Finding("growth", "ok", "there are no rows yet")
    oldest = min(time for time in times if isinstance(time, datetime))
    message = (
        f"about {raw['logs']:,} logs, {raw['new_logs']:,} of them of the last 7 days; the oldest row is of {oldest:%Y-%m-%d}"
    )
    if raw["logs"] >= _MANY_LOGS and at - oldest > _OLD:
        return Finding("growth", "warning", message, "`tac-orch prune --older-than 30d --dry-run` says what could go.")
    return Finding("growth", "ok", message)


async def _redaction(db: Database) -> Finding:
    totals = await db.engine.fetch(db.engine.queries("redactions")["totals"], ())
    kinds = ", ".join(f"{raw['redaction_count']:,} {raw['kind']}" for raw in totals)
    message = f"{sum(raw['redaction_count'] for raw in totals):,} secrets were kept out" + (f": {kinds}" if kinds else "")
    if not db.settings.redact:
        return Finding("redaction", "warning", f"it is off; {message}", "Unset TAC_ORCHESTRATOR_REDACT.")
    return Finding("redaction", "ok", message)


async def _dropped_logs(db: Database) -> Finding:
    """As the processes that had to drop them have said when they closed the store."""
    logs = await db.system_logs.list(component="database", since=datetime.now(UTC) - _OLD, limit=1000)
    dropped = sum(_dropped(log.details) for log in logs)
    if dropped:
        remedy = "They came faster than they could be stored: await `log`, or raise TAC_ORCHESTRATOR_QUEUE_SIZE."
        return Finding("dropped_logs", "warning", f"{dropped:,} logs of the last 30 days could not be kept", remedy)
    return Finding("dropped_logs", "ok", "none are known of")


def _dropped(details: dict[str, Any] | None) -> int:
    number = details.get("dropped") if isinstance(details, dict) else None
    return number if isinstance(number, int) else 0


def _of_surroundings(store: Path, is_file: bool) -> list[Finding]:
    """Backups of a server are the server's."""
    of_file = [_backups(store), ignored_by_git(store)] if is_file else []
    return [finding for finding in (*of_file, transcripts_kept(store)) if finding is not None]


def _backups(store: Path) -> Finding:
    remedy = f"`tac-orch backup`, best every day, by this line of a crontab: `{_nightly(store)}`"
    found = backups_of(store)
    if not found:
        state = "warning" if store.is_file() else "ok"
        return Finding("backups", state, "there are none", remedy if state == "warning" else "")
    age = datetime.now(UTC) - time_of(found[-1])
    message = f"{len(found)}, the newest of {time_of(found[-1]):%Y-%m-%d %H:%M} UTC"
    if age > _OLD_BACKUP:
        return Finding("backups", "warning", message, remedy)
    return Finding("backups", "ok", message)


def _nightly(store: Path) -> str:
    """Of a crontab, which knows neither the folder nor the programs of who writes it."""
    program = Path(sys.executable).with_name("tac-orch")
    command = [str(program) if program.exists() else program.name, "backup", "--db", str(store.absolute())]
    return f"0 3 * * * {shlex.join(command)}".replace("%", r"\%")
