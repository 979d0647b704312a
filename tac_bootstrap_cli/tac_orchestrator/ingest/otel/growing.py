"""One large trace, whose rows are kept up to date as its records come: what a batch costs depends on what it changes, not on
how much came before.

The rows are those that `derive` makes of all records. Most traces are plain: every agent has a span of its own, which stands
under who started it. Those that are not, `derive` makes from the beginning each time.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tac_orchestrator.ingest.identity import row_id
from tac_orchestrator.ingest.otel.agents import Instance
from tac_orchestrator.ingest.otel.branches import Branches, is_plain
from tac_orchestrator.ingest.otel.facts import Facts
from tac_orchestrator.ingest.otel.forest import place_of
from tac_orchestrator.ingest.otel.ledger import Ledger
from tac_orchestrator.ingest.otel.naming import NO_NAMES
from tac_orchestrator.ingest.otel.requests import Request, ToolUse, answer_of, find_requests, join_tools, own_id, without_record
from tac_orchestrator.ingest.otel.rows import (
    Derived,
    agent_row,
    failure_of,
    failure_row,
    following,
    log_row,
    prompt_row,
    tool_row,
)
from tac_orchestrator.tables.sources import Values

# What a record that is told of again says as before, or everything is looked at anew.
_LASTING = ("parent", "kind", "name", "scope", "agent", "start_us", "call_id", "session", "conversation")


class Unfit(Exception):
    """What has come changes more than a part."""


@dataclass(slots=True)
class _Own:
    """What belongs to one agent. `unrecorded` are tools of which only requests tell."""

    requests: set[Request] = field(default_factory=set[Request])
    uses: set[ToolUse] = field(default_factory=set[ToolUse])
    unrecorded: list[ToolUse] = field(default_factory=list[ToolUse])
    children: dict[Instance, None] = field(default_factory=dict[Instance, None])


@dataclass(slots=True)
class _Dirty:
    """What has to be looked at again."""

    calls: dict[str, None] = field(default_factory=dict[str, None])
    tools: dict[str, None] = field(default_factory=dict[str, None])
    logs: dict[str, None] = field(default_factory=dict[str, None])
    call_ids: dict[str, None] = field(default_factory=dict[str, None])
    instances: dict[Instance, None] = field(default_factory=dict[Instance, None])
    owners: dict[Instance, None] = field(default_factory=dict[Instance, None])
    requests: set[Request] = field(default_factory=set[Request])
    uses: set[ToolUse] = field(default_factory=set[ToolUse])


class _Part:
    """Some records of a trace, as the rules for requests and tools want them."""

    def __init__(self, keys: Iterable[str], whole: Growing) -> None:
        self.facts = sorted([whole.facts[key] for key in keys], key=_order)
        self.at = whole.at
        self.above = whole.above


class Growing(Branches):
    """After Unfit it is of no use any more; one that is made of all records may do."""

    def __init__(self, trace_id: str, facts: Iterable[Facts]) -> None:
        super().__init__()
        self._ledger = Ledger()
        self._trace_id = trace_id
        self._instances: dict[str, Instance] = {}
        self._implicit = Instance(row_id("otlp", "trace", trace_id), "", is_implicit=True)
        self._own = defaultdict[Instance, _Own](_Own)
        self._named: tuple[tuple[int, str], str] | None = None
        self._conversation: tuple[tuple[int, str], str] | None = None
        self._answers = defaultdict[tuple[str, str], dict[str, None]](dict)
        self._used_as = defaultdict[str, dict[str, None]](dict)
        self._parts: dict[str, list[str]] = {}
        self._requests = defaultdict[str, list[Request]](list)
        self._uses: dict[str, ToolUse] = {}
        self._uses_of_call = defaultdict[str, set[ToolUse]](set)
        self._asked_by = defaultdict[str, set[Request]](set)
        self._answered_to = defaultdict[str, set[Request]](set)
        self._context: dict[Request, tuple[str | None, bool, bool]] = {}
        self._dirty = _Dirty()
        self.add(facts)

    def add(self, facts: Iterable[Facts]) -> tuple[Derived, Derived]:
        """The rows that change with these records, as they were and as they are. Raises Unfit."""
        fresh = {one.key: one for one in facts}
        self._dirty = _Dirty()
        self._ledger.begin()
        for one in fresh.values():
            self._insert(one)
        for key, one in fresh.items():
            if one.parent is None or one.parent not in fresh:
                self._place_below(key, fresh)
        self._find_session(fresh.values())
        self._find_parents()
        self._find_requests()
        self._find_uses()
        self._relate()
        self._show()
        return self._ledger.before, self._ledger.after(map(place_of, fresh.values()))

    @property
    def derived(self) -> Derived:
        """All that the records amount to."""
        return self._ledger.derived

    def owner(self, one: Facts) -> Instance | None:
        key = one.key if self.is_agent(one) else self._enclosing.get(one.key)
        return self._instances[key] if key is not None else None

    def implicit(self, one: Facts) -> Instance:
        return self._implicit

    def all(self) -> list[Instance]:
        return [*dict.fromkeys(self._instances.values()), self._implicit]

    # Places.

    def _insert(self, one: Facts) -> None:
        known = self.facts.get(one.key)
        if not is_plain(one):
            raise Unfit
        self.facts[one.key] = one
        if known is not None:
            self._replace(known, one)
        elif not self._put_below(one):
            raise Unfit

    def _replace(self, known: Facts, one: Facts) -> None:
        """One that was told of before, and now more fully."""
        if any(getattr(known, name) != getattr(one, name) for name in _LASTING):
            raise Unfit
        answer = answer_of(known)
        if answer is not None:
            self._answers[answer].pop(one.key, None)
        instance = self._instances.get(one.key)
        if instance is not None:
            instance.spans = [one if each is known else each for each in instance.spans]

    def _place_below(self, top: str, fresh: Container[str]) -> None:
        """This record and those below it, as far as it changes where they stand. `is_moved` are those whose agent has become
        another."""
        waiting = [(top, False)]
        while waiting:
            key, is_moved = waiting.pop()
            one, is_fresh = self.facts[key], key in fresh
            around, enclosing = self._stands(one)
            if not (is_fresh or is_moved) and (around, enclosing) == (self._around[key], self._enclosing[key]):
                continue
            self._stand(one, around, enclosing)
            is_agent = self.is_agent(one)
            moves = self._place_agent(one, is_moved=is_moved) if is_agent else is_moved
            self._soil(one)
            below = self._children.get(key, [])
            if is_fresh or moves or not is_agent:
                waiting += [(each, moves) for each in below]
            if is_fresh:
                self._dirty.calls |= dict.fromkeys(each for each in below if self._may_wait(each))

    def _soil(self, one: Facts) -> None:
        if one.kind in ("call", "message"):
            self._dirty.calls[one.key] = None
        elif one.kind == "tool":
            self._dirty.tools[one.key] = None
        elif one.kind == "log":
            self._dirty.logs[one.key] = None
        elif self.is_agent(one):
            self._dirty.instances[self._instances[one.key]] = None

    # Agents.

    def _place_agent(self, one: Facts, *, is_moved: bool) -> bool:
        """One that stands directly in another of the same name is the same. Whether what it owns belongs to another now."""
        around, instance = self._around[one.key], self._instances.get(one.key)
        outer = self._instances.get(around) if around is not None else None
        if outer is None or outer.name != one.agent:
            if instance is None:
                self._join(Instance("", one.agent or ""), [one])
            return False
        if instance is outer:
            return is_moved
        self._join(outer, [one] if instance is None else instance.spans)
        if instance is not None:
            self._forget(instance)
        return instance is not None

    def _join(self, instance: Instance, spans: list[Facts]) -> None:
        for one in spans:
            insort(instance.spans, one, key=_order)
            self._instances[one.key] = instance
        found = row_id("otlp", *place_of(instance.spans[0]))
        if instance.id and found != instance.id and ("agents", instance.id) in self._ledger.derived.rows:
            raise Unfit  # it began earlier than was known, and has another name now
        instance.id = found
        self._dirty.instances[instance] = None

    def _forget(self, instance: Instance) -> None:
        """It has become part of another."""
        self._ledger.drop(("agents", instance.id))
        for use in self._own.pop(instance, _Own()).unrecorded:
            self._ledger.withdraw(use)
        if instance.parent is not None and instance.parent in self._own:
            self._own[instance.parent].children.pop(instance, None)
            self._dirty.owners[instance.parent] = None
        self._dirty.instances.pop(instance, None)
        self._dirty.owners.pop(instance, None)

    def _find_session(self, fresh: Iterable[Facts]) -> None:
        """The first name counts."""
        before = self._session
        for one in fresh:
            if one.session:
                self._named = min(self._named or (_order(one), one.session), (_order(one), one.session))
            if one.conversation:
                told = (_order(one), one.conversation)
                self._conversation = min(self._conversation or told, told)
        if before != self._session:
            self._dirty.instances |= dict.fromkeys(self.all())

    @property
    def _session(self) -> str:
        named = self._named or self._conversation
        return named[1] if named is not None else self._trace_id

    def _find_parents(self) -> None:
        for instance in self._dirty.instances:
            if instance.is_implicit:
                continue
            key = self._enclosing[instance.spans[0].key]
            while key is not None and self._instances[key] is instance:
                key = self._enclosing[key]
            parent = self._instances[key] if key is not None else None
            if instance.parent is not None and instance.parent is not parent and instance.parent in self._own:
                self._own[instance.parent].children.pop(instance, None)
                self._dirty.owners[instance.parent] = None
            instance.parent = parent
            if parent is not None:
                self._own[parent].children[instance] = None
                self._dirty.owners[parent] = None

    # Requests.

    def _find_requests(self) -> None:
        seeds = dict.fromkeys(each for key in self._dirty.calls for each in self._parts.get(key, (key,)))
        seeds |= self._dirty.calls
        for key in seeds:
            answer = answer_of(self.facts[key])
            if answer is not None:
                self._answers[answer][key] = None
        parts = self._parted(seeds, self._beside_call)
        for part in parts:
            for key in part:
                for request in self._requests.pop(key, ()):
                    self._take_away(request)
        for part in parts:
            self._parts |= dict.fromkeys(part, part)
            for request in find_requests(_Part(part, self), self, NO_NAMES):
                self._give(request)

    def _parted(self, seeds: Iterable[str], beside: Callable[[Facts], Iterable[str]]) -> list[list[str]]:
        """These records and those that concern them, each part for itself."""
        seen, parts = set[str](), list[list[str]]()
        for seed in seeds:
            part, waiting = list[str](), [seed]
            while waiting:
                key = waiting.pop()
                if key not in seen:
                    seen.add(key)
                    part.append(key)
                    waiting += beside(self.facts[key])
            if part:
                parts.append(part)
        return parts

    def _beside_call(self, one: Facts) -> Iterator[str]:
        """Those that may tell of the same request."""
        above = self.facts.get(one.parent) if one.parent is not None else None
        if above is None and one.parent is not None and self._may_wait(one.key):
            yield from (each for each in self._children[one.parent] if self._may_wait(each))
        if one.kind == "message":
            if above is not None and above.kind == "call":
                yield above.key
            return
        yield from (each for each in self._children.get(one.key, ()) if self.facts[each].kind == "message")
        around = self._around[one.key]
        beside = self._inside.get(one.key, ())
        yield from (each for each in ((around, *beside) if around is not None else beside) if self.facts[each].kind == "call")
        answer = answer_of(one)
        if answer is not None:
            yield from self._answers[answer]

    def _give(self, request: Request) -> None:
        for _, key in request.places:
            self._requests[key].append(request)
        self._own[request.owner].requests.add(request)
        self._dirty.owners[request.owner] = None
        self._dirty.requests.add(request)
        self._note_calls(request, set[Request].add)

    def _take_away(self, request: Request) -> None:
        if request.owner in self._own:
            self._own[request.owner].requests.discard(request)
            self._dirty.owners[request.owner] = None
        self._context.pop(request, None)
        self._note_calls(request, set[Request].discard)
        for place in request.places:
            self._ledger.lead(place, None)
        self._ledger.drop(("prompts", request.id))
        self._ledger.drop(failure_of(request))

    def _note_calls(self, request: Request, change: Callable[[set[Request], Request], None]) -> None:
        for call_id in (asked[0] for asked in request.requested):
            change(self._asked_by[call_id], request)
            self._dirty.call_ids[call_id] = None
        for call_id in request.answered():
            change(self._answered_to[call_id], request)
            self._dirty.call_ids[call_id] = None

    # Tools.

    def _find_uses(self) -> None:
        for key in self._dirty.tools:
            if (call_id := self.facts[key].call_id) is not None:
                self._used_as[call_id][key] = None
        parts = self._parted(self._dirty.tools, self._beside_tool)
        for part in parts:
            for key in part:
                if (use := self._uses.pop(key, None)) is not None:
                    self._take_use(use)
        for part in parts:
            for use in join_tools(_Part(part, self), self, NO_NAMES):
                self._uses |= dict.fromkeys([one.key for one in use.records], use)
                self._own[use.owner].uses.add(use)
                self._dirty.owners[use.owner] = None
                self._dirty.uses.add(use)
                if use.call_id:
                    self._uses_of_call[use.call_id].add(use)
                    self._dirty.call_ids[use.call_id] = None

    def _beside_tool(self, one: Facts) -> Iterator[str]:
        around, inside = self._around[one.key], self._inside.get(one.key, ())
        yield from (each for each in ((around, *inside) if around is not None else inside) if self.facts[each].kind == "tool")
        if one.call_id:
            yield from self._used_as[one.call_id]

    def _take_use(self, use: ToolUse) -> None:
        if use.owner in self._own:
            self._own[use.owner].uses.discard(use)
            self._dirty.owners[use.owner] = None
        self._dirty.uses.discard(use)
        if use.call_id:
            self._uses_of_call[use.call_id].discard(use)
            self._dirty.call_ids[use.call_id] = None
        for one in use.records:
            self._ledger.lead(place_of(one), None)
        self._ledger.drop(("agent_logs", use.key))

    # Which request asked for which tool.

    def _relate(self) -> None:
        for call_id in self._dirty.call_ids:
            asked, uses = self._asked_by[call_id], self._uses_of_call[call_id]
            self._dirty.owners |= dict.fromkeys(request.owner for request in asked)
            last = max(uses, key=_began, default=None)
            for use in uses:
                self._ask(use, min(asked, key=request_order, default=None) if use is last else None)
        for owner in self._dirty.owners:
            self._relate_unnamed(self._own[owner])

    def _ask(self, use: ToolUse, request: Request | None) -> None:
        if use.request is not request:
            use.request = request
            self._dirty.uses.add(use)

    def _relate_unnamed(self, own: _Own) -> None:
        """Tools without the id of a call were asked for in turn."""
        unnamed, asked = defaultdict[str, list[ToolUse]](list), dict[ToolUse, Request]()
        for use in sorted((use for use in own.uses if use.call_id is None), key=_began, reverse=True):
            unnamed[use.name].append(use)
        unrecorded = list(self._unrecorded(own, unnamed, asked))
        for use in own.uses:
            if use.call_id is None:
                self._ask(use, asked.get(use))
        for use in own.unrecorded:
            self._ledger.withdraw(use)
        own.unrecorded = unrecorded
        for place, use in enumerate(unrecorded):
            self._ledger.claim(use, place)

    def _unrecorded(self, own: _Own, unnamed: Mapping[str, list[ToolUse]], asked: dict[ToolUse, Request]) -> Iterator[ToolUse]:
        """Of what was asked for and has no record, what was done all the same."""
        started = Counter(child.name for child in own.children)
        for request in sorted(own.requests, key=request_order):
            for call_id, name, arguments in request.requested:
                if self._uses_of_call.get(call_id):
                    continue
                if unnamed[name]:
                    asked[unnamed[name].pop()] = request
                elif self._answered_to.get(call_id) or started[name] > 0:
                    started[name] -= 1
                    yield without_record(request, call_id, name, arguments)

    # Rows.

    def _show(self) -> None:
        for owner in self._dirty.owners:
            self._show_requests(owner, self._own[owner])
        for instance in {**self._dirty.instances, **self._dirty.owners}:
            self._show_agent(instance, self._own[instance])
        for use in self._dirty.uses:
            self._ledger.set(("agent_logs", use.key), tool_row(use))
            for one in use.records:
                self._ledger.lead(place_of(one), ("agent_logs", use.key))
        for key in self._dirty.logs:
            self._show_log(self.facts[key])

    def _show_requests(self, owner: Instance, own: _Own) -> None:
        if owner.is_implicit:
            self._gather(own)
        for request, is_first, between in following(sorted(own.requests, key=request_order), list(own.uses)):
            context = (owner.name if is_first else None, bool(between), any(map(_has_failed, between)))
            if request in self._dirty.requests or self._context.get(request) != context:
                self._context[request] = context
                self._show_request(request, prompt_row(request, is_first, between, None))

    def _show_request(self, request: Request, row: Values) -> None:
        self._ledger.set(("prompts", request.id), row)
        if request.id != own_id(request.whole):
            self._ledger.derived.shared.add(("prompts", request.id))
        if request.has_failed:
            self._ledger.set(failure_of(request), failure_row(request))
        for place in request.places:
            self._ledger.lead(place, ("prompts", request.id))

    def _show_agent(self, instance: Instance, own: _Own) -> None:
        if not instance.records:
            self._ledger.drop(("agents", instance.id))
            return
        named = None if instance.is_implicit else instance.spans[0].session
        instance.session = named or self._session
        self._ledger.set(("agents", instance.id), agent_row(instance, sorted(own.requests, key=request_order)))

    def _gather(self, own: _Own) -> None:
        """What stands for a program in which no agent is known begins with its first request."""
        requests = sorted(own.requests, key=_first_told)
        uses = sorted(own.uses, key=_began)
        told = [one.tellers or one.messages for one in requests] + [use.records for use in uses]
        self._implicit.owned = [one for records in told for one in records]
        if self._implicit.owned:
            self._implicit.name = self._implicit.owned[0].service

    def _show_log(self, one: Facts) -> None:
        home, row = log_row(one, None if one.details.get("is_of_system") else self.owner(one))
        known = self._ledger.derived.homes.get(place_of(one))
        if known is not None and known != home:
            self._ledger.drop(known)
        self._ledger.set(home, row)
        self._ledger.lead(place_of(one), home)


def _order(one: Facts) -> tuple[int, str]:
    return one.start_us, one.key


def request_order(one: Request) -> tuple[int, str]:
    return one.order


def _began(use: ToolUse) -> tuple[int, str]:
    return _order(use.records[0])


def _has_failed(use: ToolUse) -> bool:
    return any(one.state != "completed" for one in use.records)


def _first_told(request: Request) -> tuple[bool, tuple[int, str]]:
    """Those that only messages tell of come last."""
    return not request.tellers, _order((request.tellers or request.messages)[0])
