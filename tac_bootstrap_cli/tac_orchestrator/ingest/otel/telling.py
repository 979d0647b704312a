"""What senders say at one moment, and what is known of the traces that it belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tac_orchestrator.ingest.otel.changing import longer_texts
from tac_orchestrator.ingest.otel.conventions.logs import NO_TRACE
from tac_orchestrator.ingest.otel.facts import Facts, Reading, Texts, as_row
from tac_orchestrator.ingest.otel.forest import Place, place_of
from tac_orchestrator.ingest.otel.naming import is_name, session_of
from tac_orchestrator.models import dump_json
from tac_orchestrator.tables.spans import MOST_TELLERS


class Told:
    """What senders say, by place. Of two that tell of one place, the one that tells more counts."""

    def __init__(self, readings: list[Reading]) -> None:
        self.facts: dict[Place, Facts] = {}
        self.texts: dict[Place, Texts] = {}
        for reading in readings:
            place, facts = place_of(reading.facts), reading.facts
            self.facts[place] = _fuller(self.facts[place], facts) if place in self.facts else facts
            self.texts[place] = longer_texts(self.texts[place], reading.texts) if place in self.texts else reading.texts
        self._note_traces()

    def _note_traces(self) -> None:
        self.traces = sorted({trace_id for trace_id, _ in self.facts if trace_id != NO_TRACE})
        self.sessions = [session for trace_id in self.traces if (session := session_of(trace_id)) is not None]

        self.answers: dict[str, set[str]] = {}
        for (trace_id, _), one in self.facts.items():
            if (name := _response_id(one)) is not None and trace_id != NO_TRACE:
                self.answers.setdefault(name, set()).add(trace_id)

    def leave_out(self, traces: set[str]) -> set[Place]:
        """All of these traces, but what their records are called elsewhere."""
        if not traces:
            return set()
        places = {place for place, one in self.facts.items() if place[0] in traces and not is_name(one)}
        for place in places:
            del self.facts[place], self.texts[place]
        self._note_traces()
        return places

    def news(self, known: Known) -> dict[Place, Facts]:
        """What is not known yet, and what tells more than what is known."""
        return {place: one for place, one in self.facts.items() if _is_news(one, known.at(place))}


class Links:
    """Traces that tell of the same answers. `common` are names that so many answers have that they tell nothing apart, as those
    that a model for tests gives."""

    def __init__(self) -> None:
        self.linked = set[str]()
        self.looked_up = set[str]()
        self.common = set[str]()
        self._traces: dict[str, set[str]] = {}

    def add(self, answer: str, trace_id: str) -> None:
        traces = self._traces.setdefault(answer, set())
        traces.add(trace_id)
        if len(traces) > 1:
            self.linked |= traces


class Known:
    """All records of some traces, and how many there were when they were read. `linked` are traces that tell of each other's
    answers; of those, senders may tell in yet other traces. `common` are answers that link none."""

    def __init__(self, facts: dict[str, Mapping[Place, Facts]], links: Links, told: Told) -> None:
        self.facts, self.linked, self.common = facts, links.linked, links.common
        self.trace_counts = {trace_id: len(those) for trace_id, those in sorted(facts.items())}
        named = (
            _response_id(one) for trace_id in self.linked.union(*told.answers.values()) for one in facts[trace_id].values()
        )
        wanted = told.answers.keys() - self.common
        counts = Counter(name for name in named if name in wanted)
        self.answer_counts = {name: counts[name] for name in sorted(wanted)}

    def at(self, place: Place) -> Facts | None:
        return self.facts[place[0]].get(place) if place[0] in self.facts else None


def common_with(fresh: Mapping[Place, Facts], known: Known) -> set[str]:
    """The names that are common once these records are there."""
    told = Counter(_response_id(one) for place, one in fresh.items() if known.at(place) is None)
    counts = known.answer_counts
    return known.common | {name for name in counts if counts[name] + told[name] > MOST_TELLERS}


def unnamed(facts: Mapping[Place, Facts], common: set[str]) -> Mapping[Place, Facts]:
    """As if nobody had named the answers that have these names."""
    if not common:
        return facts
    return {place: _unnamed(one) if _response_id(one) in common else one for place, one in facts.items()}


def _unnamed(one: Facts) -> Facts:
    return one if one.call is None else replace(one, call=replace(one.call, response_id=None))


def beyond(fresh: Mapping[Place, Facts], known: Known, most: int) -> set[Place]:
    """Those for which there is no room in their traces. The first to come has it."""
    if all(number + len(fresh) <= most for number in known.trace_counts.values()):
        return set()
    room = {trace_id: most - number for trace_id, number in known.trace_counts.items()}
    found = set[Place]()
    for place, one in fresh.items():
        if place[0] in room and known.at(place) is None and not is_name(one):
            room[place[0]] -= 1
            if room[place[0]] < 0:
                found.add(place)
    return found


def _is_news(told: Facts, known: Facts | None) -> bool:
    return known is None or (told != known and _fuller(known, told) is told)


def answers_in(facts: Iterable[Facts]) -> set[str]:
    return {name for one in facts if (name := _response_id(one)) is not None}


def _response_id(one: Facts) -> str | None:
    return one.call.response_id or None if one.call is not None else None


def _fuller(one: Facts, other: Facts) -> Facts:
    """The one that was told later in the life of a record, else the one that says more; whichever was heard first."""
    if one == other:
        return one
    return max(one, other, key=_fullness)


def _fullness(facts: Facts) -> tuple[bool, int, int, str]:
    shown = dump_json(as_row(facts)["details"])
    return not facts.is_open, facts.end_us, len(shown), shown
