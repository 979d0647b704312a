"""What the other sources of a session of Claude Code call that of which its telemetry tells.

Telemetry knows a request by an id of the connection and a sub-agent by a key. Transcripts, streams and hooks know the message
and the call that started the agent as well, and name rows by these. Whoever knows both says so, in a record among those of the
session: the rows are then the same, whichever source was first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tac_orchestrator.ingest.identity import Alias, alias, named
from tac_orchestrator.ingest.otel.facts import Facts, Reading
from tac_orchestrator.ingest.otel.forest import Place, place_of
from tac_orchestrator.models import storable

_CLAUDE_CODE = "cc:"


class Names:
    """The names of rows, by what telemetry calls them."""

    def __init__(self, facts: Iterable[Facts] = ()) -> None:
        self._rows: dict[Place, str] = {place_of(one): one.details["row"] for one in facts if is_name(one)}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def of(self, trace_id: str, kind: Alias, key: str) -> str | None:
        return self._rows.get((trace_id, alias(kind, key)))


NO_NAMES = Names()


def is_name(one: Facts) -> bool:
    return one.kind == "name"


def trace_of(session_id: str) -> str:
    """The tree in which all of a session stands."""
    return f"{_CLAUDE_CODE}{named(storable(session_id))}"


def session_of(trace_id: str) -> str | None:
    """The session of Claude Code whose tree it is, if it is one's."""
    return trace_id.removeprefix(_CLAUDE_CODE) if trace_id.startswith(_CLAUDE_CODE) else None


def name_readings(trace_id: str, names: Mapping[str, str]) -> list[Reading]:
    return [
        Reading(
            Facts(
                trace_id=trace_id,
                key=key,
                parent=None,
                kind="name",
                name="",
                scope="",
                service="",
                process="",
                start_us=0,
                end_us=0,
                details={"row": row},
            )
        )
        for key, row in names.items()
    ]
