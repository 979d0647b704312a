"""Takes what exporters send into the store. It is answered after the commit.

The rows of a trace follow from its records, so that the order of the records does not matter, nor how often they come: what was
known of the traces is read, the rows that it amounts to are compared with those that it amounts to now, and the differences are
written together with the records. Requests that come meanwhile are taken together in the next round.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakKeyDictionary

from tac_orchestrator.database import Database
from tac_orchestrator.errors import InvalidRecord
from tac_orchestrator.ingest.claude_code.session import brief
from tac_orchestrator.ingest.intake import Scrubbing
from tac_orchestrator.ingest.merging import is_same, merged_agent, merged_log, merged_prompt
from tac_orchestrator.ingest.otel.classify import read_record, read_span
from tac_orchestrator.ingest.otel.conventions.logs import NO_TRACE
from tac_orchestrator.ingest.otel.facts import Facts, Reading, Texts, as_row, from_row
from tac_orchestrator.ingest.otel.forest import Place, place_of
from tac_orchestrator.ingest.otel.jsonbody import read_json
from tac_orchestrator.ingest.otel.messages import text_of
from tac_orchestrator.ingest.otel.protobuf import read_protobuf
from tac_orchestrator.ingest.otel.rows import Derived, Home, derive
from tac_orchestrator.ingest.otel.wire import Body, Records
from tac_orchestrator.models import dump_json
from tac_orchestrator.redaction import redactor
from tac_orchestrator.tables.prompts import with_cost
from tac_orchestrator.tables.sources import Batch, Values
from tac_orchestrator.tables.spans import WrittenMeanwhile

# What is not derived, or only in part.
_NOT_COMPARED = frozenset(
    ("kind", "prompt_text", "response_text", "details", "cost_usd", "cost_source", "cost_basis", "message")
)

_RESULT_CHARACTERS = 20_000
_ATTEMPTS = 20


@dataclass(slots=True)
class Taken:
    """What became of some bodies. `ignored` are metrics, which say again what spans and logs say."""

    spans: int = 0
    logs: int = 0
    ignored: int = 0
    rejected: Counter[str] = field(default_factory=Counter[str])

    @property
    def rejected_count(self) -> int:
        return self.rejected.total()

    @property
    def reason(self) -> str:
        """Why some were left out, in words for the sender; empty if none was."""
        return "; ".join(f"{number} × {why}" for why, number in sorted(self.rejected.items()))


@dataclass(slots=True, eq=False)
class _Waiting:
    readings: list[Reading]
    future: asyncio.Future[None]


async def ingest_otlp(database: Database, bodies: Iterable[Body]) -> Taken:
    """Store what these bodies hold. What can be read of a body is stored, and the rest counted.

    Raises UnreadableBody if one of them cannot be read at all; then nothing of any is stored.
    """
    return await _intake_of(database).take(bodies)


async def ingest_readings(database: Database, readings: list[Reading]) -> Taken:
    """The same for records that came by another way than OTLP, and have been read already."""
    taken, intake = Taken(spans=len(readings)), _intake_of(database)
    if readings:
        await intake.store_readings(readings, taken)
    await intake.report(taken)
    return taken


def _intake_of(database: Database) -> OtlpIntake:
    found = _INTAKES.get(database)
    if found is None:
        found = _INTAKES[database] = OtlpIntake(database)
    return found


class OtlpIntake:
    """One for a store: what many senders send at once is put together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._redactor = redactor() if database.settings.redact else None
        self._kind_ids: dict[str, str] = {}
        self._waiting: list[_Waiting] = []
        self._work: asyncio.Task[None] | None = None

    async def take(self, bodies: Iterable[Body]) -> Taken:
        """Raises UnreadableBody, and whatever the store raises."""
        records, readings = await asyncio.to_thread(_read, list(bodies))
        taken = Taken(len(records.spans), len(records.logs), records.ignored, records.rejected)
        if readings:
            await self.store_readings(readings, taken)
        await self.report(taken)
        return taken

    async def report(self, taken: Taken) -> None:
        """Say in the store what was left out."""
        if taken.rejected:
            await self._database.system_logs.create(
                "otlp",
                f"{taken.rejected_count} record(s) were left out: {taken.reason}",
                log_level="WARNING",
                details={"rejected": dict(taken.rejected)},
            )

    async def store_readings(self, readings: list[Reading], taken: Taken) -> None:
        waiting = _Waiting(readings, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._store_waiting())
        try:
            await waiting.future
        except InvalidRecord as error:
            taken.rejected[f"the store does not take it: {error}"] += taken.spans + taken.logs
            taken.spans = taken.logs = 0

    async def _store_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._store([reading for one in batch for reading in one.readings])
            except Exception as error:
                await self._store_one_by_one(batch, error)
            else:
                for one in batch:
                    _answer(one, None)

    async def _store_one_by_one(self, batch: list[_Waiting], error: Exception) -> None:
        """A record that the store does not take is its own sender's business only."""
        for one in batch:
            failure: Exception | None = error
            if isinstance(error, InvalidRecord) and len(batch) > 1:
                try:
                    await self._store(one.readings)
                    failure = None
                except Exception as again:
                    failure = again
            _answer(one, failure)

    async def _store(self, readings: list[Reading]) -> None:
        told = _Told(readings)
        for attempt in range(1, _ATTEMPTS + 1):
            known = await self._known(told)
            try:
                await self._write(told, known)
            except WrittenMeanwhile:  # another process has written to the same traces: once more, with what it wrote
                if attempt == _ATTEMPTS:
                    raise
            else:
                return

    async def _known(self, told: _Told) -> _Known:
        """All records of the traces that these belong to, and of those that tell of the same answers."""
        spans, traces, found = self._database.spans, set[str](), list[Values]()
        wanted, answers = set(told.traces), {key for key in told.response_ids}
        while wanted - traces:
            fresh = wanted - traces
            rows = await spans.of_traces(fresh)
            found += rows
            traces |= fresh
            facts = [from_row(row) for row in rows]
            answers |= {one.call.response_id for one in facts if one.call and one.call.response_id}
            wanted |= await spans.traces_of(answers)
        return _Known({place_of(one): one for one in map(from_row, found)}, traces)

    async def _write(self, told: _Told, known: _Known) -> None:
        fresh = told.news(known.facts)
        before = derive(known.facts.values()) if known.facts else Derived()
        after = derive({**known.facts, **fresh}.values())
        carried = _carried(known.facts, before, after)
        change = _Change(before, after, told.texts, carried)
        await self._register(after)
        stored = await self._stored_rows(change)
        secrets = Scrubbing(self._redactor)
        batch, system_logs = self._batch(change, stored, secrets)
        async with self._database.transaction() as transaction:
            await transaction.spans.check(known.trace_counts(), known.answer_counts(told))
            counts = secrets.of(batch)
            await transaction.sources.save(batch, counts)
            await transaction.spans.save_system_logs(system_logs, Counter())
            await transaction.spans.drop(change.gone)
            await transaction.spans.save([as_row(one) for one in fresh.values() if one.trace_id != NO_TRACE])

    async def _register(self, derived: Derived) -> None:
        for name, agent_type in derived.kinds.items():
            if name not in self._kind_ids:
                kind = await self._database.orchestrator_agents.register(name, agent_type=agent_type)
                self._kind_ids[name] = kind.id

    async def _stored_rows(self, change: _Change) -> dict[Home, Values]:
        """The rows that are going to change, and those whose texts go elsewhere, as they are."""
        sources, keys = self._database.sources, change.keys
        agents = await sources.known_agents(keys["agents"])
        prompts = await sources.known_prompts(keys["prompts"])
        logs = await sources.known_agent_logs(keys["agent_logs"])
        system = await self._database.spans.known_system_logs(keys["system_logs"])
        found: dict[Home, Values] = {("agents", key): row for key, row in agents.items()}
        found |= {("prompts", key): row for key, row in prompts.items()}
        found |= {("agent_logs", key): row for key, row in logs.items()}
        found |= {("system_logs", key): row for key, row in system.items()}
        return found

    def _batch(self, change: _Change, stored: Mapping[Home, Values], secrets: Scrubbing) -> tuple[Batch, list[Values]]:
        rows: dict[str, list[Values]] = {"agents": [], "prompts": [], "agent_logs": [], "system_logs": []}
        for home in change.changed:
            row = change.row(home, stored)
            if home[0] == "agents":
                row = {**row, "orchestrator_agent_id": self._kind_ids[row["kind"]]}
                del row["kind"]
            clean = secrets.clean(*home, row)
            known = stored.get(home)
            if known is not None:
                clean = _merged(home, known, clean, is_ours=change.is_ours(home, known, self._kind_ids))
            if known is None or not is_same(known, clean):
                rows[home[0]].append(clean)
        return Batch(rows["agents"], rows["prompts"], rows["agent_logs"]), rows["system_logs"]


_INTAKES: WeakKeyDictionary[Database, OtlpIntake] = WeakKeyDictionary()


class _Told:
    """What senders say, by place. Of two that tell of one place, the one that tells more counts."""

    def __init__(self, readings: list[Reading]) -> None:
        self.facts: dict[Place, Facts] = {}
        self.texts: dict[Place, Texts] = {}
        for reading in readings:
            place, facts = place_of(reading.facts), reading.facts
            self.facts[place] = _fuller(self.facts[place], facts) if place in self.facts else facts
            self.texts[place] = _longer_texts(self.texts[place], reading.texts) if place in self.texts else reading.texts
        self.traces = sorted({trace_id for trace_id, _ in self.facts if trace_id != NO_TRACE})

    @property
    def response_ids(self) -> list[str]:
        return [one.call.response_id for one in self.facts.values() if one.call and one.call.response_id]

    def news(self, known: Mapping[Place, Facts]) -> dict[Place, Facts]:
        """What is not known yet, and what tells more than what is known."""
        return {
            place: one
            for place, one in self.facts.items()
            if place not in known or (one != known[place] and _fuller(known[place], one) is one)
        }


@dataclass(frozen=True, slots=True)
class _Known:
    """All records of some traces, as they were when they were read."""

    facts: dict[Place, Facts]
    traces: set[str]

    def trace_counts(self) -> dict[str, int]:
        counts = Counter(trace_id for trace_id, _ in self.facts)
        return {trace_id: counts[trace_id] for trace_id in sorted(self.traces)}

    def answer_counts(self, told: _Told) -> dict[str, int]:
        """Of the answers that are told of, and that senders may tell of in other traces."""
        counts = Counter(one.call.response_id for one in self.facts.values() if one.call and one.call.response_id)
        return {key: counts[key] for key in sorted(set(told.response_ids))}


class _Change:
    """From the rows that records amounted to, to those that they amount to now."""

    def __init__(
        self, before: Derived, after: Derived, texts: Mapping[Place, Texts], carried: Mapping[Home, list[Home]]
    ) -> None:
        self._before, self._after, self._carried = before, after, carried
        self._texts: dict[Home, list[Texts]] = {}
        for place, one in texts.items():
            home = after.homes.get(place)
            if home is not None and one != Texts():
                self._texts.setdefault(home, []).append(one)
        self.gone = [home for home in before.rows if home not in after.rows]
        self.changed = [home for home, row in after.rows.items() if home in self._texts or before.rows.get(home) != row]
        self.keys: dict[str, list[str]] = {"agents": [], "prompts": [], "agent_logs": [], "system_logs": []}
        looked_up = (home for home in self.changed if home in before.rows or home in after.shared)
        for home in (*looked_up, *(one for those in carried.values() for one in those)):
            self.keys[home[0]].append(home[1])

    def row(self, home: Home, stored: Mapping[Home, Values]) -> Values:
        """As it is to become, with the texts that are told and those that other rows had of the same records."""
        row = dict(self._after.rows[home])
        texts = self._texts.get(home, [])
        others = [stored[one] for one in self._carried.get(home, ()) if one in stored]
        if home[0] == "prompts":
            row["prompt_text"] = self._text("prompt_text", home, [one.prompt for one in texts], stored) or ""
            row["response_text"] = self._text("response_text", home, [one.response for one in texts], stored)
            return with_cost(row)
        if home[0] == "agent_logs" and row["log_type"] == "tool_call":
            row["details"] = _tool_details(row, texts, others)
            row["message"] = _tool_message(row)
        return row

    def _text(self, column: str, home: Home, told: Sequence[str | None], stored: Mapping[Home, Values]) -> str | None:
        """The longest of those that were told, now or earlier; unless the records that are kept say it themselves."""
        earlier = list[str | None]()
        for place in (home, *self._carried.get(home, ())):
            derived = self._before.rows.get(place, {}).get(column)
            known = stored.get(place, {}).get(column)
            earlier += [known] if known != derived else []
        return _longest(*told, *earlier) or self._after.rows[home][column]

    def is_ours(self, home: Home, known: Values, kind_ids: Mapping[str, str]) -> bool:
        """Whether a stored row is as our records made it: then nobody else tells of it, and it is made anew."""
        row = self._before.rows.get(home)
        if row is None:
            return False
        if home[0] == "agents" and known["orchestrator_agent_id"] != kind_ids.get(row["kind"]):
            return False
        return all(known.get(name) == value for name, value in row.items() if name not in _NOT_COMPARED)


def _read(bodies: list[Body]) -> tuple[Records, list[Reading]]:
    records = Records()
    for body in bodies:
        (read_json if body.is_json else read_protobuf)(body, records)
    readings = [read_span(span) for span in records.spans]
    return records, readings + [read_record(record) for record in records.logs]


def _answer(waiting: _Waiting, error: Exception | None) -> None:
    with suppress(asyncio.InvalidStateError):  # it was cancelled meanwhile
        if error is None:
            waiting.future.set_result(None)
        else:
            waiting.future.set_exception(error)


def _carried(facts: Mapping[Place, Facts], before: Derived, after: Derived) -> dict[Home, list[Home]]:
    """The rows to which records have moved, and from which."""
    found: dict[Home, list[Home]] = {}
    for place in facts:
        old, new = before.homes.get(place), after.homes.get(place)
        if old is not None and new is not None and old != new and old not in found.setdefault(new, []):
            found[new].append(old)
    return found


def _merged(home: Home, known: Values, told: Values, *, is_ours: bool) -> Values:
    table = home[0]
    if table == "prompts":
        if not is_ours:
            return merged_prompt(known, told, agent_id=known["agent_id"])
        return told
    if table == "agents":
        return told if is_ours else merged_agent(known, told)
    if table == "agent_logs":
        if not is_ours:
            return merged_log(known, told, agent_id=known["agent_id"])
        details = {**told["details"], **_longer_details(known, told)} if told["log_type"] == "tool_call" else told["details"]
        row = {**told, "details": details}
        return {**row, "message": _tool_message(row)} if told["log_type"] == "tool_call" else row
    return told


def _longer_details(known: Values, told: Values) -> Values:
    found = dict[str, Any]()
    for name in ("arguments", "result"):
        values = [row["details"][name] for row in (known, told) if row["details"] and name in row["details"]]
        if values:
            found[name] = max(values, key=_size)
    return found


def _tool_details(row: Values, texts: Sequence[Texts], others: Sequence[Values]) -> Values:
    details = dict(row["details"])
    arguments = [
        details.get("arguments"),
        *(one.arguments for one in texts),
        *(one["details"].get("arguments") for one in others if one.get("details")),
    ]
    results = [
        *(_shortened(one.result) for one in texts),
        *(one["details"].get("result") for one in others if one.get("details")),
    ]
    for name, values in (("arguments", arguments), ("result", results)):
        best = max((value for value in values if value is not None), key=_size, default=None)
        if best is not None:
            details[name] = best
    return details


def _tool_message(row: Values) -> str:
    name, arguments = row["details"]["tool"], row["details"].get("arguments")
    told = cast(dict[str, Any], arguments) if isinstance(arguments, dict) else {}
    shown = brief(told) or " ".join(_shortest_named(told).split())[:160]
    return f"{name}: {shown}" if shown else str(name)


def _shortest_named(arguments: Mapping[str, Any]) -> str:
    """Whatever order they are kept in: PostgreSQL has one of its own for the members of JSON."""
    names = sorted(arguments, key=lambda name: (len(name), name))
    return next((arguments[name] for name in names if isinstance(arguments[name], str) and arguments[name]), "")


def _shortened(text: str | None) -> str | None:
    return text if text is None or len(text) <= _RESULT_CHARACTERS else f"{text[:_RESULT_CHARACTERS]}…"


def _size(value: Any) -> tuple[int, str]:
    shown = text_of(value) or ""
    return len(shown), shown


def _longest(*texts: str | None) -> str | None:
    return max((text for text in texts if text), key=lambda text: (len(text), text), default=None)


def _fuller(one: Facts, other: Facts) -> Facts:
    """The one that was told later in the life of a record, else the one that says more; whichever was heard first."""
    if one == other:
        return one
    return max(one, other, key=_fullness)


def _fullness(facts: Facts) -> tuple[bool, int, int, str]:
    shown = dump_json(as_row(facts)["details"])
    return not facts.is_open, facts.end_us, len(shown), shown


def _longer_texts(one: Texts, other: Texts) -> Texts:
    return Texts(
        _longest(one.prompt, other.prompt),
        _longest(one.response, other.response),
        max((one.arguments, other.arguments), key=_size),
        _longest(one.result, other.result),
    )
