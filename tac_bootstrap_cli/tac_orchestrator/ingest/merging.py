"""What a source says of a row, added to what the store knows of it. In whatever order the sources come, the row is the same.

Of two values the one that says more stands: the earlier start, the later end, the longer text, the larger count, something
rather than nothing. The cost follows from what the tokens then are, unless a source has reported it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tac_orchestrator.ingest.values import tool_message
from tac_orchestrator.models import dump_json
from tac_orchestrator.tables.prompts import with_cost
from tac_orchestrator.tables.sources import Values

_STATES = ("pending", "streaming", "cancelled", "failed", "completed")
_TYPES = ("adw", "followup", "tool_call", "correction", "command")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_TEXTS = ("response_text", "model_used", "error_message")
_COUNTS = (
    "tokens_input",
    "tokens_output",
    "tokens_cache_read",
    "tokens_cache_write",
    "tokens_cache_write_1h",
    "latency_ms",
)

# What only those say of a request, or of a tool's use, who have read the conversation.
_FROM_CONVERSATION = ("message_id", "line_id", "prompt_id")

# Who knows best which session an agent belongs to, and what kind it is.
_CLAIMS = ("claude-code", "adw")


def merged_agent(known: Mapping[str, Any], told: Mapping[str, Any]) -> Values:
    """Of two sources, the one that was read to the later line says how the agent stands."""
    older, newer = sorted((known, told), key=lambda row: (_context(row).get("as_of") or "", _claim(row)))
    weaker, stronger = sorted((known, told), key=_claim)
    context = _merged_json(_context(older), _context(newer)) | {"source": _context(stronger).get("source")}
    context["times"] = _times(known, told, "context")
    context["opened_at"] = min(filter(None, (_context(row).get("opened_at") for row in (known, told))), default=None)
    return {
        "id": known["id"],
        "orchestrator_agent_id": stronger["orchestrator_agent_id"],
        "session_id": stronger["session_id"],
        "parent_agent_id": stronger["parent_agent_id"] or weaker["parent_agent_id"],
        "status": newer["status"],
        "completed_at": newer["completed_at"],
        "error_message": newer["error_message"],
        "started_at": min(row["started_at"] for row in _exact(known, told, "context")),
        "context": {name: value for name, value in context.items() if value is not None},
        "config": _merged_json(older.get("config"), newer.get("config")) or None,
    }


def merged_prompt(known: Mapping[str, Any], told: Mapping[str, Any], *, agent_id: str) -> Values:
    exact = _exact(known, told, "details")
    named = max((known, told), key=lambda row: (is_read(row), _TYPES.index(row["prompt_type"]), row.get("prompt_name") or ""))
    merged = {name: _longer(known.get(name), told.get(name)) for name in _TEXTS}
    merged |= {name: _larger(known.get(name), told.get(name)) for name in _COUNTS}
    merged |= {
        "id": known["id"],
        "agent_id": agent_id,
        "prompt_text": max((known, told), key=_heard)["prompt_text"],
        "status": _further(_STATES, known["status"], told["status"]),
        "prompt_type": named["prompt_type"],
        "prompt_name": named.get("prompt_name"),
        "created_at": min(row["created_at"] for row in exact),
        "completed_at": max(filter(None, (row.get("completed_at") for row in exact)), default=None),
    }
    details = _merged_json(known.get("details"), told.get("details")) | {"times": _times(known, told, "details")}
    merged["details"] = {name: value for name, value in details.items() if value is not None} or None
    reported = next((row for row in (known, told) if row.get("cost_source") == "reported"), None)
    merged |= {name: reported[name] if reported else None for name in ("cost_usd", "cost_source", "cost_basis")}
    return with_cost(merged)


def merged_log(known: Mapping[str, Any], told: Mapping[str, Any], *, agent_id: str) -> Values:
    details = _merged_json(known.get("details"), told.get("details")) | {"times": _times(known, told, "details")}
    merged = {
        "agent_id": agent_id,
        "log_level": _further(_LEVELS, known["log_level"], told["log_level"]),
        "log_type": known["log_type"],
        "message": _longer(known["message"], told["message"]),
        "details": {name: value for name, value in details.items() if value is not None} or None,
        "created_at": min(row["created_at"] for row in _exact(known, told, "details")),
        "source_key": known["source_key"],
    }
    return with_message(merged)


def with_message(log: Values) -> Values:
    """Of a tool's use, as its arguments are now."""
    told = _json(log, "details")
    return {**log, "message": tool_message(told["tool"], told.get("arguments"))} if "tool" in told else log


def is_read(row: Mapping[str, Any]) -> bool:
    """Whether a prompt or a log is known from the conversation itself: then its owner is known, and what it goes on from."""
    return not _json(row, "details").keys().isdisjoint(_FROM_CONVERSATION)


def _heard(prompt: Mapping[str, Any]) -> tuple[bool, int, str]:
    text = prompt["prompt_text"]
    return is_read(prompt) and text != "", len(text), text


def is_same(known: Mapping[str, Any], merged: Mapping[str, Any]) -> bool:
    """Whether the store has it all already."""
    return all(known.get(name) == value for name, value in merged.items())


def _context(row: Mapping[str, Any]) -> Values:
    return _json(row, "context")


def _json(row: Mapping[str, Any], column: str) -> Values:
    return row.get(column) or {}


def _claim(row: Mapping[str, Any]) -> int:
    source = _context(row).get("source")
    return _CLAIMS.index(source) if source in _CLAIMS else -1


def _exact(known: Mapping[str, Any], told: Mapping[str, Any], column: str) -> list[Mapping[str, Any]]:
    """Those of the two whose times are not concluded; both, if neither knows."""
    exact = [row for row in (known, told) if _json(row, column).get("times") is None]
    return exact or [known, told]


def _times(known: Mapping[str, Any], told: Mapping[str, Any], column: str) -> str | None:
    marks = [_json(row, column).get("times") for row in (known, told)]
    return marks[0] if all(marks) else None


def _larger(known: Any, told: Any) -> Any:
    return max((value for value in (known, told) if value is not None), default=None)


def _longer(known: str | None, told: str | None) -> Any:
    return max((text for text in (known, told) if text is not None), key=lambda text: (len(text), text), default=None)


def _further(order: tuple[str, ...], known: str, told: str) -> str:
    return max(known, told, key=order.index)


def _merged_json(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> Values:
    """What both say, and of two answers to one question the longer."""
    merged = {**(first or {})}
    for name, value in (second or {}).items():
        texts = sorted((merged.get(name, value), value), key=lambda one: (len(dump_json(one)), dump_json(one)))
        merged[name] = texts[-1]
    return merged
