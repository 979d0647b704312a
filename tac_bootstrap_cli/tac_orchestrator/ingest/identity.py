"""Names that records have in their source, as ids that are the same on every import."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha1
from typing import Any, Literal
from uuid import UUID

from tac_orchestrator.models import MAX_NAME, AgentType

_NAMESPACE = UUID("6f0d3a5e-7c1b-5d24-9a6e-2b1f4c8e9d70").bytes
_VARIANTS = {sign: "89ab"[int(sign, 16) % 4] for sign in "0123456789abcdef"}

# Providers make ids of random signs. A shorter one may well have been counted up, and mean something else in another session.
_SURELY_UNIQUE = 20

MAIN_AGENT = "claude-code"
"""The agent that a session of Claude Code is itself."""

Alias = Literal["agent", "request", "tool"]

# Which word in an agent's name tells its type.
_TYPES: tuple[tuple[str, AgentType], ...] = (
    ("plan", "planner"),
    ("build", "builder"),
    ("implement", "builder"),
    ("code-review", "reviewer"),
    ("review", "reviewer"),
    ("test", "tester"),
    ("cod", "builder"),
    ("develop", "builder"),
    ("orchestrat", "orchestrator"),
)


def row_id(*parts: str) -> str:
    """A UUID of version 5, put together by hand: there are several of them for each record."""
    sign = sha1(_NAMESPACE + "\0".join(parts).encode(), usedforsecurity=False).hexdigest()
    return f"{sign[:8]}-{sign[8:12]}-5{sign[13:16]}-{_VARIANTS[sign[16]]}{sign[17:20]}-{sign[20:32]}"


def unique_key(key: str, fallback: str) -> str:
    """A key that a provider made, or one that is made unique by something that is."""
    return key if len(key) >= _SURELY_UNIQUE else f"{key}:{fallback}"


def alias(kind: Alias, key: str) -> str:
    """Of something that has another name elsewhere, and that name is a row's."""
    return named(f"{kind}:{key}")


def named(text: str) -> str:
    """A text as a name. One that is too long for that is cut, and still told apart from others."""
    return text if len(text) <= MAX_NAME else f"{text[: MAX_NAME - 40]}…{row_id(text)}"


def claimed(agent: Mapping[str, Any], adw_id: str) -> dict[str, Any]:
    """An agent as one of a workflow's: whatever else tells of it, it belongs there."""
    return {**agent, "session_id": adw_id, "context": {**(agent["context"] or {}), "source": "adw", "adw_id": adw_id}}


def agent_type_of(name: str) -> AgentType:
    """What a kind of agent probably is. Only kinds that nobody has registered are guessed."""
    if name == MAIN_AGENT:
        return "orchestrator"
    low = name.lower()
    for word, agent_type in _TYPES:
        if word in low:
            return agent_type
    return "utility"
