"""Takes what exporters send into the store. It is answered after the commit.

The rows of a trace follow from its records, so that the order of the records does not matter, nor how often they come: what was
known of the traces is read, the rows that it amounts to are compared with those that it amounts to now, and the differences are
written together with the records. Requests that come meanwhile are taken together in the next round.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from tac_orchestrator.database import Database
from tac_orchestrator.errors import InvalidRecord
from tac_orchestrator.ingest.identity import row_id
from tac_orchestrator.ingest.intake import Scrubbing, leased
from tac_orchestrator.ingest.merging import is_same
from tac_orchestrator.ingest.otel.changing import RowChange, carried_rows, merged_row
from tac_orchestrator.ingest.otel.classify import read_record, read_span
from tac_orchestrator.ingest.otel.conventions.logs import NO_TRACE
from tac_orchestrator.ingest.otel.facts import Facts, Reading, as_row, from_row
from tac_orchestrator.ingest.otel.forest import Place, place_of
from tac_orchestrator.ingest.otel.jsonbody import read_json
from tac_orchestrator.ingest.otel.memory import LARGE, Memory, Trace
from tac_orchestrator.ingest.otel.naming import name_readings, trace_of
from tac_orchestrator.ingest.otel.protobuf import read_protobuf
from tac_orchestrator.ingest.otel.rows import Derived, Home, derive
from tac_orchestrator.ingest.otel.telling import Known, Links, Told, answers_in, beyond, common_with, unnamed
from tac_orchestrator.ingest.otel.wire import Body, Records
from tac_orchestrator.ingest.settlement import settle_reported
from tac_orchestrator.ingest.turns import Turns, in_turn
from tac_orchestrator.redaction import redactor
from tac_orchestrator.tables.sources import Batch, Values

P = ParamSpec("P")
T = TypeVar("T")

_TOGETHER = 4096
_FEW = 64  # records that are thought about at once, where others wait for the event loop to go on


@dataclass(slots=True)
class Taken:
    """What became of some bodies. `ignored` are metrics, which say again what spans and logs say."""

    spans: int = 0
    logs: int = 0
    ignored: int = 0
    rejected: Counter[str] = field(default_factory=Counter[str])

    def leave_out(self, number: int, why: str) -> None:
        if number:
            self.rejected[why] += number
            left = self.spans + self.logs - number
            self.spans, self.logs = min(self.spans, left), max(0, left - self.spans)

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
    future: asyncio.Future[int]


async def ingest_otlp(database: Database, bodies: Iterable[Body]) -> Taken:
    """Store what these bodies hold. What can be read of a body is stored, and the rest counted.

    Raises UnreadableBody if one of them cannot be read at all; then nothing of any is stored.
    """
    return await _intake_of(database).take(bodies)


async def ingest_readings(database: Database, readings: list[Reading], *, is_own: bool = False) -> Taken:
    """The same for records that came by another way than OTLP, and have been read already. Agents of this process itself are
    its own: when it is gone, they are."""
    taken, intake = Taken(spans=len(readings)), _intake_of(database)
    if is_own:
        intake.lease_id = (await database.agents.recorder.hold_lease()).id
    if readings:
        await intake.store_readings(readings, taken)
    await intake.report(taken)
    return taken


async def keep_names(database: Database, session_id: str, names: Mapping[str, str]) -> None:
    """What other sources call that of which the telemetry of a session of Claude Code tells, whether it has come or will.

    To be said before their own rows are stored: if that fails, it can be repeated.
    """
    await ingest_readings(database, name_readings(trace_of(session_id), names))


def _intake_of(database: Database) -> OtlpIntake:
    found = _INTAKES.get(database)
    if found is None:
        found = _INTAKES[database] = OtlpIntake(database)
    return found


class OtlpIntake:
    """One for a store: what many senders send at once is put together."""

    def __init__(self, database: Database) -> None:
        self.lease_id: str | None = None
        self._database = database
        self._redactor = redactor() if database.settings.redact else None
        self._kind_ids: dict[str, str] = {}
        self._memory = Memory()
        self._most = database.settings.max_trace
        self._waiting: list[_Waiting] = []
        self._work: asyncio.Task[None] | None = None

    async def take(self, bodies: Iterable[Body]) -> Taken:
        """Raises UnreadableBody, and whatever the store raises."""
        records, readings = await asyncio.to_thread(read_bodies, list(bodies))
        taken = Taken(records.spans, records.logs, records.ignored, records.rejected)
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
            left_out = await waiting.future
        except InvalidRecord as error:
            taken.rejected[f"the store does not take it: {error}"] += taken.spans + taken.logs
            taken.spans = taken.logs = 0
        else:
            taken.leave_out(left_out, f"a trace holds at most {self._most:,} records")

    async def _store_waiting(self) -> None:
        while self._waiting:
            batch = self._next()
            try:
                left_out = await self._store([reading for one in batch for reading in one.readings])
            except Exception as error:
                await self._store_one_by_one(batch, error)
            else:
                for one in batch:
                    _answer(one, sum(place_of(reading.facts) in left_out for reading in one.readings) if left_out else 0)

    def _next(self) -> list[_Waiting]:
        """Those who have waited longest, as many as are taken together."""
        batch, number = list[_Waiting](), 0
        while self._waiting and (not batch or number + len(self._waiting[0].readings) <= _TOGETHER):
            batch.append(self._waiting.pop(0))
            number += len(batch[-1].readings)
        return batch

    async def _store_one_by_one(self, batch: list[_Waiting], error: Exception) -> None:
        """A record that the store does not take is its own sender's business only."""
        for one in batch:
            outcome: Exception | int = error
            if isinstance(error, InvalidRecord) and len(batch) > 1:
                try:
                    outcome = len(await self._store(one.readings))
                except Exception as again:
                    outcome = again
            _answer(one, outcome)

    async def _store(self, readings: list[Reading]) -> set[Place]:
        """In pieces that are committed one after another. Who is told that the last was not, sends all of them again. Returns
        which were left out, for there was no room in their traces."""
        left_out = set[Place]()
        for start in range(0, len(readings), _TOGETHER):
            left_out |= await self._store_piece(readings[start : start + _TOGETHER])
        return left_out

    async def _store_piece(self, readings: list[Reading]) -> set[Place]:
        told = Told(readings)
        left_out = told.leave_out(await self._full_traces(told.traces))
        left_out |= await in_turn(self._database, told.sessions, lambda turns: self._attempt(told, turns))
        await settle_reported(self._database, [row_id("cc", session, "main") for session in told.sessions])

        return left_out

    async def _full_traces(self, traces: Iterable[str]) -> set[str]:
        """Those that are full are not read, whatever they hold."""
        sizes = await self._database.spans.sizes(key for key in traces if self._memory.get(key) is None)
        return {key for key, size in sizes.items() if size >= self._most}

    async def _attempt(self, told: Told, turns: Turns) -> set[Place]:
        known = await self._known(told)
        try:
            return await self._write(told, known, turns)
        except BaseException:
            self._memory.forget(known.facts)
            raise

    async def _known(self, told: Told) -> Known:
        """All records of the traces that these belong to, and of those that tell of the same answers."""
        spans, facts, links = self._database.spans, dict[str, Mapping[Place, Facts]](), Links()
        wanted, answers = set(told.traces), set(told.answers)
        while wanted - facts.keys() or answers:
            missing = wanted - facts.keys()
            remembered = {key: trace for key in missing if (trace := self._memory.get(key)) is not None}
            facts |= {key: trace.facts for key, trace in remembered.items()}
            links.common.update(*(trace.common for trace in remembered.values()))
            found = dict[str, dict[Place, Facts]]((key, {}) for key in missing - remembered.keys())
            for one in map(from_row, await spans.of_traces(found)):
                found[one.trace_id][place_of(one)] = one
            facts |= found
            answers |= {answer for those in found.values() for answer in answers_in(those.values())}
            await self._link(answers - links.looked_up, told, links)
            links.looked_up |= answers
            wanted |= links.linked
            answers = set[str]()
        return Known(facts, links, told)

    async def _link(self, answers: set[str], told: Told, links: Links) -> None:
        """The traces that tell of these."""
        links.common |= await self._database.spans.common(answers)
        named = answers - links.common
        for answer, trace_id in await self._database.spans.traces_of(named):
            links.add(answer, trace_id)
        for answer in named & told.answers.keys():
            for trace_id in told.answers[answer]:
                links.add(answer, trace_id)

    async def _write(self, told: Told, known: Known, turns: Turns) -> set[Place]:
        fresh = told.news(known)
        left_out = beyond(fresh, known, self._most)
        fresh = {place: one for place, one in fresh.items() if place not in left_out} if left_out else fresh
        common = common_with(fresh, known)
        large = self._large(fresh, known, common)
        before, after = await _aside(len(fresh), _amounts, fresh, known, large, common)
        change = RowChange(before, after, told.texts, carried_rows(before, after))
        await self._register(after)
        stored = await self._stored_rows(change)
        secrets = Scrubbing(self._redactor)
        batch, system_logs = await _aside(len(fresh), self._batch, change, stored, secrets)
        rows = [as_row(one) for one in fresh.values() if one.trace_id != NO_TRACE]
        async with self._database.transaction() as transaction:
            await transaction.spans.check(known.trace_counts, known.answer_counts)
            await transaction.spans.take_turns(turns if batch.row_count or change.gone else {})
            await transaction.sources.save(batch, secrets.of(batch))
            await transaction.spans.save_system_logs(system_logs, Counter())
            await transaction.spans.drop(change.gone)
            saved = await transaction.spans.save(rows)
        if saved is not None and saved.secrets:  # they are kept without these, and looked up again as they are kept
            self._memory.forget(known.facts)
        else:
            self._remember(fresh, known, large, common)
        self._memory.forget({trace_id for trace_id, _ in left_out})
        return left_out

    def _large(self, fresh: Mapping[Place, Facts], known: Known, common: set[str]) -> dict[str, Trace]:
        """Those that stand alone, and are worth to be kept with their rows."""
        found = dict[str, Trace]()
        for trace_id, number in Counter(trace_id for trace_id, _ in fresh).items():
            if trace_id not in known.linked and trace_id != NO_TRACE:
                remembered = self._memory.get(trace_id)
                if len(known.facts[trace_id]) + number >= LARGE and not self._tells_of(common, trace_id, fresh, known):
                    found[trace_id] = remembered or Trace(known.facts[trace_id])
        return found

    def _tells_of(self, common: set[str], trace_id: str, fresh: Mapping[Place, Facts], known: Known) -> bool:
        """Whether a trace does, whose rows then do not follow from its records alone."""
        if not common:
            return False
        news = (one for place, one in fresh.items() if place[0] == trace_id)
        return not common.isdisjoint(answers_in((*known.facts[trace_id].values(), *news)))

    def _remember(self, fresh: Mapping[Place, Facts], known: Known, large: Mapping[str, Trace], common: set[str]) -> None:
        """What is not linked to others."""
        news = dict[str, dict[Place, Facts]]()
        for place, one in fresh.items():
            news.setdefault(place[0], {})[place] = one
        for trace_id, facts in known.facts.items():
            if trace_id in known.linked:
                self._memory.forget((trace_id,))
            else:
                all_facts = facts if trace_id in large else {**facts, **news.get(trace_id, {})}
                told = common & answers_in(all_facts.values()) if common else ()
                self._memory.keep(trace_id, large.get(trace_id) or Trace(all_facts, told))

    async def _register(self, derived: Derived) -> None:
        for name, agent_type in derived.kinds.items():
            if name not in self._kind_ids:
                kind = await self._database.orchestrator_agents.register(name, agent_type=agent_type)
                self._kind_ids[name] = kind.id

    async def _stored_rows(self, change: RowChange) -> dict[Home, Values]:
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

    def _batch(self, change: RowChange, stored: Mapping[Home, Values], secrets: Scrubbing) -> tuple[Batch, list[Values]]:
        rows: dict[str, list[Values]] = {"agents": [], "prompts": [], "agent_logs": [], "system_logs": []}
        for home in change.changed:
            row = change.row(home, stored)
            if home[0] == "agents":
                row = {**row, "orchestrator_agent_id": self._kind_ids[row["kind"]]}
                del row["kind"]
            clean = secrets.clean(*home, row)
            known = stored.get(home)
            if known is not None:
                clean = merged_row(home, known, clean, is_ours=change.is_ours(home, known, self._kind_ids))
            if known is None or not is_same(known, clean):
                rows[home[0]].append(clean)
        return Batch(leased(rows["agents"], self.lease_id), rows["prompts"], rows["agent_logs"]), rows["system_logs"]


_INTAKES: WeakKeyDictionary[Database, OtlpIntake] = WeakKeyDictionary()


def _amounts(
    fresh: Mapping[Place, Facts], known: Known, large: Mapping[str, Trace], common: set[str]
) -> tuple[Derived, Derived]:
    """The rows that change, as they are and as they are to become. Small traces are made anew, all in one go."""
    small = {place: one for key, facts in known.facts.items() if key not in large for place, one in facts.items()}
    news = {place: one for place, one in fresh.items() if place[0] not in large}
    before = derive(unnamed(small, known.common).values()) if small else Derived()
    after = derive(unnamed({**small, **news}, common).values()) if news else before
    for key, trace in large.items():
        was, becomes = trace.add({place: one for place, one in fresh.items() if place[0] == key})
        before, after = before.joined(was), after.joined(becomes)
    return before, after


def read_bodies(bodies: list[Body]) -> tuple[Records, list[Reading]]:
    readings = list[Reading]()
    records = Records(lambda span: readings.append(read_span(span)), lambda record: readings.append(read_record(record)))
    for body in bodies:
        (read_json if body.is_json else read_protobuf)(body, records)
    return records, readings


async def _aside(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Much work is done on a thread, so that others go on meanwhile."""
    return work(*args, **kwargs) if size <= _FEW else await asyncio.to_thread(work, *args, **kwargs)


def _answer(waiting: _Waiting, outcome: Exception | int) -> None:
    with suppress(asyncio.InvalidStateError):  # it was cancelled meanwhile
        if isinstance(outcome, Exception):
            waiting.future.set_exception(outcome)
        else:
            waiting.future.set_result(outcome)
