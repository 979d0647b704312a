"""Which requests and tool calls there were. Several may tell of one: wrappers, two instrumentations, events, the provider."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tac_orchestrator.ingest.identity import row_id, unique_key
from tac_orchestrator.ingest.otel.agents import Instance, Owners
from tac_orchestrator.ingest.otel.facts import TOKENS, CallFacts, Facts, Tokens
from tac_orchestrator.ingest.otel.forest import Place, Standing, Unions, place_of
from tac_orchestrator.ingest.otel.naming import Names

_CLAUDE_CODE = "cc:"
_SURELY_UNIQUE = 20


@dataclass(slots=True, eq=False)
class Request:
    """One request to a model, and all that tell of it, the first by time first. Others tell of it if it is named."""

    id: str
    tellers: list[Facts]
    messages: list[Facts]
    owner: Instance
    places: list[Place]
    is_named: bool = False

    calls: list[CallFacts] = field(init=False)
    whole: list[Facts] = field(init=False)
    requested: list[list[str]] = field(init=False)
    is_told: bool = field(init=False)
    start_us: int = field(init=False)
    end_us: int = field(init=False)

    def __post_init__(self) -> None:
        """`whole` are those that tell of all of it, if there are any; `requested` are the tools that it asked for."""
        self.calls = [one.call for one in self.tellers if one.call is not None]
        whole = [one for one in self.tellers if one.call and not one.call.is_partial]
        self.is_told = any(not one.is_open for one in whole)
        self.whole = whole or self.tellers or self.messages
        self.start_us = min([one.start_us for one in self.whole])
        self.end_us = max([one.end_us for one in self.whole])
        self.requested = next((call.requested for call in self.calls if call.requested), None) or _told_calls(self.messages)

    @property
    def has_failed(self) -> bool:
        return self.is_told and self.whole[-1].state == "failed"

    @property
    def order(self) -> tuple[int, str]:
        return self.start_us, self.id

    @property
    def traces(self) -> list[str]:
        return list(dict.fromkeys([trace_id for trace_id, _ in self.places]))

    def answered(self) -> Iterator[str]:
        """The calls of tools whose results the model was told."""
        for call in self.calls:
            yield from call.results
        for one in self.messages:
            yield from one.details.get("results", ())

    def tokens(self) -> Tokens:
        """Of those who know best, the larger count."""
        if len(self.calls) == 1:
            return self.calls[0].tokens
        merged = Tokens()
        for name in TOKENS:
            told = [(call.rank, value) for call in self.calls if (value := getattr(call.tokens, name)) is not None]
            setattr(merged, name, max(told)[1] if told else None)
        return merged


@dataclass(slots=True, eq=False)
class ToolUse:
    """One use of a tool. `request` asked for it; one that has no record of its own is concluded from that."""

    key: str
    name: str
    owner: Instance
    records: list[Facts]
    call_id: str | None
    request: Request | None = None
    arguments: str | None = None


def find_requests(forest: Standing, agents: Owners, names: Names) -> list[Request]:
    calls = [one for one in forest.facts if one.kind == "call"]
    unions, wrappers = _joined(forest, agents, calls)
    tellers, messages = defaultdict[Place, list[Facts]](list), defaultdict[Place, list[Facts]](list)
    for one in calls:
        if place_of(one) not in wrappers:
            tellers[unions.leader(place_of(one))].append(one)
    for one in forest.facts:
        if one.kind == "message" and one.parent and not one.trace_id.startswith(_CLAUDE_CODE):
            span = forest.at((one.trace_id, one.parent))
            if span is None or span.kind == "call":
                messages[unions.leader((one.trace_id, one.parent))].append(one)
    leaders = {**tellers, **messages}
    found = [_request(agents, tellers.get(leader, []), messages.get(leader, []), names) for leader in leaders]
    return sorted(found, key=lambda one: one.order)


def answer_of(one: Facts) -> tuple[str, str] | None:
    """The name that the provider gave to an answer. A short one is only one of its process."""
    if one.call is None or not one.call.response_id:
        return None
    return ("" if len(one.call.response_id) >= _SURELY_UNIQUE else one.process), one.call.response_id


def _joined(forest: Standing, agents: Owners, calls: list[Facts]) -> tuple[Unions[Place], set[Place]]:
    """Which tell of one request, and which only wrap several."""
    unions, inside = Unions[Place](), defaultdict[Place, list[Facts]](list)
    for one in calls:
        outer = _call_around(forest, agents, one)
        if outer is not None:
            inside[place_of(outer)].append(one)
        elif _awaits_its_span(forest, one):
            unions.join((one.trace_id, one.parent or ""), place_of(one))
    wrappers = set[Place]()
    for place, inner in inside.items():
        whole = [one for one in inner if one.call and not one.call.is_partial]
        names = {one.call.response_id or one.key for one in whole if one.call}
        if len(names) > 1:
            wrappers.add(place)
        for one in inner if len(names) <= 1 else []:
            unions.join(place, place_of(one))
    _join_named(calls, unions)
    return unions, wrappers


def _awaits_its_span(forest: Standing, one: Facts) -> bool:
    """Whether it is an event of a request whose span has not come yet."""
    if one.call is None or not one.call.is_partial or one.parent is None or one.trace_id.startswith(_CLAUDE_CODE):
        return False
    return forest.at((one.trace_id, one.parent)) is None


def _call_around(forest: Standing, agents: Owners, one: Facts) -> Facts | None:
    for above in forest.above(one):
        if above.kind == "call":
            return above
        if above.kind == "tool" or agents.is_agent(above):
            return None
    return None


def _join_named(calls: Iterable[Facts], unions: Unions[Place]) -> None:
    """By the name that the provider gave to the answer. A short one may be given again: then the times have to agree."""
    last: dict[tuple[str, str], Facts] = {}
    for one in calls:
        is_claude = one.trace_id.startswith(_CLAUDE_CODE) and one.call is not None and one.call.request_id
        key = (one.trace_id, is_claude) if is_claude else answer_of(one)
        if key is None:
            continue
        sure = bool(is_claude) or not key[0]
        before = last.get(key)
        if before is not None and (sure or (before.scope != one.scope and one.start_us <= before.end_us)):
            unions.join(place_of(before), place_of(one))
        last[key] = one


def _request(agents: Owners, tellers: list[Facts], messages: list[Facts], names: Names) -> Request:
    records = tellers or messages
    owned = next((one for one in records if agents.owner(one) is not None), None)
    owner = agents.owner(owned) if owned is not None else None
    places = [place_of(one) for one in (*tellers, *messages)]
    if owner is None:
        owner = agents.implicit(records[0])
        owner.owned += records[1:]
    known = _known_id(tellers, names)
    return Request(known or _request_id(tellers, messages), tellers, messages, owner, places, known is not None)


def _known_id(tellers: list[Facts], names: Names) -> str | None:
    """What other sources call it."""
    if not names:
        return None
    asked = {(one.trace_id, one.call.request_id) for one in tellers if one.call and one.call.request_id}
    found = (names.of(trace_id, "request", request_id) for trace_id, request_id in sorted(asked))
    return min((name for name in found if name is not None), default=None)


def _request_id(tellers: list[Facts], messages: list[Facts]) -> str:
    whole = [one for one in tellers if one.call and not one.call.is_partial] or tellers
    named = sorted(
        {
            one.call.response_id
            for one in whole
            if one.call and one.call.response_id and len(one.call.response_id) >= _SURELY_UNIQUE
        }
    )
    if named:
        return row_id("llm", named[0])
    asked = sorted({one.call.request_id for one in whole if one.call and one.call.request_id})
    if asked and whole[0].trace_id.startswith(_CLAUDE_CODE):
        return row_id("llm", unique_key(asked[0], whole[0].trace_id))
    return own_id(whole or messages)


def own_id(records: list[Facts]) -> str:
    """Of a request to which nobody else has given a name."""
    first = records[0]
    is_span = first.call is not None and not first.call.is_partial
    return row_id("otlp", first.trace_id, first.key if is_span else first.parent or first.key)


def find_tools(forest: Standing, agents: Owners, requests: list[Request], names: Names) -> list[ToolUse]:
    return _with_requests(join_tools(forest, agents, names), requests, forest, agents)


def join_tools(forest: Standing, agents: Owners, names: Names) -> list[ToolUse]:
    """The uses of tools that have records, without the requests that asked for them."""
    tools = [one for one in forest.facts if one.kind == "tool"]
    unions, named = Unions[Place](), dict[tuple[str, str], Facts]()
    for one in tools:
        is_claude = one.trace_id.startswith(_CLAUDE_CODE)
        outer = next((above for above in forest.above(one) if above.kind in ("tool", "call") or agents.is_agent(above)), None)
        if outer is not None and not is_claude and outer.kind == "tool" and outer.name == one.name and outer.scope != one.scope:
            unions.join(place_of(outer), place_of(one))
        if one.call_id:
            before = named.setdefault((one.trace_id, one.call_id), one)
            if is_claude or (before.scope != one.scope and one.start_us <= before.end_us):
                unions.join(place_of(before), place_of(one))
    found = defaultdict[Place, list[Facts]](list)
    for one in tools:
        found[unions.leader(place_of(one))].append(one)
    return [_tool_use(agents, records, names) for records in found.values()]


def _tool_use(agents: Owners, records: list[Facts], names: Names) -> ToolUse:
    first = records[0]
    call_id = next((one.call_id for one in records if one.call_id), None)
    owner = agents.owner(first)
    if owner is None:
        owner = agents.implicit(first)
        owner.owned += records[1:]
    if first.trace_id.startswith(_CLAUDE_CODE) and call_id:
        key = names.of(first.trace_id, "tool", call_id) or f"cc:tool:{unique_key(call_id, owner.session)}"
    else:
        key = f"otlp:{first.trace_id}:{first.key}"
    return ToolUse(key, first.name, owner, records, call_id)


def _with_requests(uses: list[ToolUse], requests: list[Request], forest: Standing, agents: Owners) -> list[ToolUse]:
    """Tools and the requests that asked for them. One that was answered and has no record of its own gets one."""
    answered = {(trace, key) for request in requests for trace in request.traces for key in request.answered()}
    by_id = {(use.records[0].trace_id, use.call_id): use for use in uses if use.call_id}
    unnamed = defaultdict[tuple[str, str], list[ToolUse]](list)
    for use in uses:
        if use.call_id is None:
            unnamed[use.owner.id, use.name].append(use)
    started = defaultdict[tuple[str, str], int](int)
    for instance in agents.all():
        if instance.parent is not None:
            started[instance.parent.id, instance.name] += 1
    handoffs = {one.trace_id for one in forest.facts if one.kind == "handoff"}
    for request in requests:
        for call_id, name, arguments in request.requested:
            asked = [(trace, call_id) for trace in request.traces]
            use = next((by_id[one] for one in asked if one in by_id), None) or _next(unnamed[request.owner.id, name])
            if use is not None:
                use.request = use.request or request
            elif not answered.isdisjoint(asked) or started[request.owner.id, name] > 0:
                started[request.owner.id, name] -= 1
                if not (name.startswith("transfer_to_") and request.traces[0] in handoffs):
                    uses.append(without_record(request, call_id, name, arguments))
    return uses


def without_record(request: Request, call_id: str, name: str, arguments: str) -> ToolUse:
    """A use of which only the request that asked for it tells."""
    return ToolUse(f"otlp:{request.traces[0]}:{call_id or name}", name, request.owner, [], call_id, request, arguments)


def _told_calls(messages: list[Facts]) -> list[list[str]]:
    return [call for one in messages if one.details.get("role") == "choice" for call in one.details.get("calls", ())]


def _next(uses: list[ToolUse]) -> ToolUse | None:
    return uses.pop(0) if uses else None
