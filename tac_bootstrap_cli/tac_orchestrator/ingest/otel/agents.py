"""Which agents there were, who started whom, and whose each record is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from tac_orchestrator.ingest.identity import MAIN_AGENT, row_id
from tac_orchestrator.ingest.otel.conventions import claude_code
from tac_orchestrator.ingest.otel.conventions.logs import NO_TRACE
from tac_orchestrator.ingest.otel.conventions.openinference import LLAMA_INDEX
from tac_orchestrator.ingest.otel.facts import Facts
from tac_orchestrator.ingest.otel.forest import Forest, Place, Unions, place_of
from tac_orchestrator.ingest.otel.naming import Names

_CLAUDE_CODE = "cc:"
_TRANSFER = "transfer_to_"
_GOOGLE_ADK = "gcp.vertex.agent"
_TOOL_STEP = ".call_tool"


@dataclass(slots=True, eq=False)
class Instance:
    """One run of an agent. `spans` are those that are the agent itself; `owned`, all that happened in it; `beneath`, what
    happened in agents that it started, where of itself nothing is known yet.

    An implicit one stands for a program whose requests belong to no agent.
    """

    id: str
    name: str
    spans: list[Facts] = field(default_factory=list[Facts])
    owned: list[Facts] = field(default_factory=list[Facts])
    beneath: list[Facts] = field(default_factory=list[Facts])
    parent: Instance | None = None
    session: str = ""
    is_implicit: bool = False
    agent_key: str | None = None
    tool_use_id: str | None = None

    @property
    def records(self) -> list[Facts]:
        return self.spans or self.owned or self.beneath

    @property
    def start_us(self) -> int:
        return min(one.start_us for one in self.records)

    @property
    def end_us(self) -> int:
        return max(one.end_us for one in self.records)


class Owners(Protocol):
    """Whose each record is."""

    def all(self) -> list[Instance]: ...
    def owner(self, one: Facts) -> Instance | None: ...
    def implicit(self, one: Facts) -> Instance: ...
    def is_agent(self, one: Facts) -> bool: ...


class Agents:
    def __init__(self, forest: Forest, names: Names) -> None:
        self._forest = forest
        self._names: dict[Place, str] = {}
        self._instances: dict[Place, Instance] = {}
        self._enclosing: dict[Place, Facts | None] = {}
        self._implicit: dict[str, Instance] = {}
        self._claude = _ClaudeAgents(forest, names)
        self._find_spans()
        self._join_spans()
        self._owners: dict[Place, Instance | None] = {}
        self._own_all()
        self._find_parents()
        self._find_sessions()

    def all(self) -> list[Instance]:
        """Parents before their children."""
        found = dict.fromkeys((*self._instances.values(), *self._claude.all(), *self._implicit.values()))
        done, left = dict[Instance, None](), [one for one in found if one.records]
        while left:
            ready = [one for one in left if one.parent is None or one.parent in done or one.parent not in found] or left
            done |= dict.fromkeys(ready)
            left = [one for one in left if one not in done]
        return list(done)

    def owner(self, one: Facts) -> Instance | None:
        """Whose it is; None if that is nobody that is known."""
        return self._owners.get(place_of(one))

    def implicit(self, one: Facts) -> Instance:
        """Who stands for a program in which no agent is known."""
        found = self._implicit.get(one.trace_id)
        if found is None:
            found = self._implicit[one.trace_id] = Instance(
                row_id("otlp", "trace", one.trace_id), one.service, is_implicit=True
            )
            found.session = self._sessions.get(one.trace_id, one.trace_id)
        found.owned.append(one)
        return found

    def is_agent(self, one: Facts) -> bool:
        return place_of(one) in self._names

    def _find_spans(self) -> None:
        """The spans that are agents, by the names of the agents. A node of a graph makes the graph that it is in one."""
        for one in self._forest.facts:
            if one.kind != "agent" or one.agent is None:
                continue
            graphs = [above for above in self._forest.above(one) if above.name == one.agent] if one.is_graph_node else []
            for span in graphs or [one]:
                self._names[place_of(span)] = one.agent
        self._find_tool_steps()

    def _find_tool_steps(self) -> None:
        """LlamaIndex does not say whose tools a step of a workflow calls: they are those of the agent whose turn it was."""
        turns = dict[tuple[str, str | None], str]()
        for one in self._forest.facts:
            if LLAMA_INDEX not in one.scope:
                continue
            if one.kind == "agent" and one.agent is not None:
                turns[one.trace_id, one.parent] = one.agent
            elif one.name.endswith(_TOOL_STEP) and (agent := turns.get((one.trace_id, one.parent))) is not None:
                self._names[place_of(one)] = agent

    def _enclosing_agent(self, one: Facts) -> Facts | None:
        return self._forest.nearest(one, self.is_agent, self._enclosing)

    def _join_spans(self) -> None:
        """Some spans are one agent: one that wraps another of the same name, and the rounds of a graph."""
        unions = Unions[Place]()
        spans = [one for one in self._forest.facts if self.is_agent(one)]
        for one in spans:
            outer = self._directly_above(one)
            if outer is not None and self._names[place_of(outer)] == self._names[place_of(one)]:
                unions.join(place_of(outer), place_of(one))
        self._join_rounds(spans, unions)
        for one in spans:
            leader = unions.leader(place_of(one))
            if leader not in self._instances:
                first = place_of(one)  # the first by time
                self._instances[leader] = Instance(row_id("otlp", *first), self._names[first])
            instance = self._instances[place_of(one)] = self._instances[leader]
            instance.spans.append(one)

    def _directly_above(self, one: Facts) -> Facts | None:
        """The agent that it is in, unless a tool or a request is in between."""
        for above in self._forest.above(one):
            if self.is_agent(above):
                return above
            if above.kind in ("tool", "call"):
                return None
        return None

    def _join_rounds(self, spans: list[Facts], unions: Unions[Place]) -> None:
        last: dict[tuple[str, str, str], Facts] = {}
        for one in spans:
            is_turn = LLAMA_INDEX in one.scope
            if one.parent is None or not (is_turn or "langchain" in one.scope):
                continue
            key = (one.trace_id, one.parent, self._names[place_of(one)])
            before = last.get(key)
            if before is not None and (is_turn or before.end_us <= one.start_us):
                unions.join(place_of(before), place_of(one))
            last[key] = one

    def _own_all(self) -> None:
        for one in self._forest.facts:
            if one.trace_id.startswith(_CLAUDE_CODE):
                owner = self._claude.owner(one)
            elif self.is_agent(one):
                owner = self._instances[place_of(one)]
            else:
                span = self._enclosing_agent(one)
                owner = self._instances[place_of(span)] if span is not None else None
            self._owners[place_of(one)] = owner
            if owner is not None:
                owner.owned.append(one)

    def _find_parents(self) -> None:
        self._targets = {(one.trace_id, target) for one in self._forest.facts if (target := _target(one)) is not None}
        takeovers = self._takeovers()
        for instance in dict.fromkeys(self._instances.values()):
            outer = self._enclosing_agent(instance.spans[0])
            while outer is not None and self._instances[place_of(outer)] is instance:  # one span of it may stand in another
                outer = self._enclosing_agent(outer)
            found = takeovers.get(place_of(instance.spans[0]))
            if found is None:
                found = self._instances[place_of(outer)] if outer is not None else self._handed_over_by(instance)
            if found is not None and found is not instance and not _is_above(instance, found):
                instance.parent = found

    def _takeovers(self) -> dict[Place, Instance]:
        """Google's ADK says that an agent hands over, but not to whom: it is the next one that stands beside it, or in it."""
        found = dict[Place, Instance]()
        for one in self._forest.facts:
            if one.kind != "tool" or one.name != f"{_TRANSFER}agent" or not one.scope.startswith(_GOOGLE_ADK):
                continue
            giver = self._enclosing_agent(one)
            if giver is None or giver.parent is None:
                continue
            later = (other for other in self._in_trace(one.trace_id) if other.start_us >= one.end_us and self.is_agent(other))
            taker = next((it for it in later if it.parent == giver.parent or self._enclosing_agent(it) is giver), None)
            if taker is not None:
                found[place_of(taker)] = self._instances[place_of(giver)]
        return found

    def _handed_over_by(self, instance: Instance) -> Instance | None:
        """An agent that nobody encloses may have been given the conversation by another, or be drawn beside its caller."""
        first = instance.spans[0]
        if first.parent_agent is None and not first.is_flat and (first.trace_id, instance.name) not in self._targets:
            return None
        others = [
            one for one in self._in_trace(first.trace_id) if self.owner(one) is not instance and one.start_us <= first.start_us
        ]
        if first.parent_agent is not None:
            callers = [one for one in others if self.is_agent(one) and self._names[place_of(one)] == first.parent_agent]
            return self._latest_owner(callers)
        named = [one for one in others if _target(one) == instance.name]
        if named or not first.is_flat:
            return self._latest_owner(named)
        around = [one for one in others if one.kind == "tool" and one.end_us >= first.end_us]
        unnamed = [one for one in others if one.kind == "handoff" and _target(one) is None]
        return self._latest_owner(around) or self._latest_owner(unnamed)

    def _latest_owner(self, found: list[Facts]) -> Instance | None:
        return next((owner for one in reversed(found) if (owner := self.owner(one)) is not None), None)

    def _in_trace(self, trace_id: str) -> list[Facts]:
        return self._by_trace.get(trace_id, [])

    @property
    def _by_trace(self) -> dict[str, list[Facts]]:
        found = getattr(self, "_traces", None)
        if found is None:
            found = self._traces = dict[str, list[Facts]]()
            for one in self._forest.facts:
                if one.kind in ("agent", "tool", "handoff") or self.is_agent(one):
                    found.setdefault(one.trace_id, []).append(one)
        return found

    def _find_sessions(self) -> None:
        """A trace belongs to the session that its records name, the first of them; else to the conversation; else to itself."""
        self._sessions = _sessions(self._forest.facts)
        for instance in dict.fromkeys(self._instances.values()):
            first = instance.spans[0]
            instance.session = first.session or self._sessions[first.trace_id]


class _ClaudeAgents:
    """The agents of Claude Code have ids, and may have no span at all."""

    def __init__(self, forest: Forest, names: Names) -> None:
        self._forest = forest
        self._row_names = names
        self._found: dict[tuple[str, str | None], Instance] = {}
        ours = [one for one in forest.facts if one.trace_id.startswith(_CLAUDE_CODE)]
        self._keys = {(one.trace_id, one.parent): one.agent_key for one in ours if one.agent_key and one.parent}
        for one in ours:
            self._introduce(one)
        for one in ours:
            self._relate(one)

    def all(self) -> Iterable[Instance]:
        return self._found.values()

    def owner(self, one: Facts) -> Instance:
        return self._found[one.trace_id, self._key(one)]

    def _key(self, one: Facts) -> str | None:
        """Older versions do not say in their events which agent it was, but where the agent's spans are."""
        return one.agent_key or (self._keys.get((one.trace_id, one.parent)) if one.parent and one.kind != "other" else None)

    def _introduce(self, one: Facts) -> None:
        key, session = self._key(one), one.session or ""
        for wanted in (None, key, one.parent_agent if key else None):
            if (one.trace_id, wanted) not in self._found:
                name = MAIN_AGENT if wanted is None else "claude-code-subagent"
                self._found[one.trace_id, wanted] = Instance("", name, session=session, agent_key=wanted)
                self._identify(one.trace_id, wanted)

    def _relate(self, one: Facts) -> None:
        key = self._key(one)
        instance = self._found[one.trace_id, key]
        if key is None:
            return
        main = self._found[one.trace_id, None]
        if one.parent_agent and one.parent_agent != key:
            instance.parent = self._found[one.trace_id, one.parent_agent]
        instance.parent = instance.parent or main
        for above in dict.fromkeys((instance.parent, main)):
            above.beneath.append(one)
        starter = next(
            (above for above in self._forest.above(one) if above.kind == "tool" and above.name in claude_code.SUBAGENT_TOOLS),
            None,
        )
        if starter is not None and self._key(starter) != key:
            instance.tool_use_id = starter.call_id
            instance.name = str(starter.details.get("subagent_type") or instance.name)
        elif one.agent and instance.name == "claude-code-subagent":
            instance.name = one.agent
        self._identify(one.trace_id, key)

    def _identify(self, trace_id: str, key: str | None) -> None:
        """By the call that started it, as far as anybody has said which one that was."""
        instance = self._found[trace_id, key]
        known = self._row_names.of(trace_id, "agent", key) if key is not None else None
        instance.id = known or row_id("cc", instance.session, instance.tool_use_id or key or "main")


def _sessions(facts: Iterable[Facts]) -> dict[str, str]:
    named, conversations, traces = dict[str, str](), dict[str, str](), dict[str, str]()
    for one in facts:
        traces.setdefault(one.trace_id, one.trace_id)
        if one.session and one.trace_id != NO_TRACE:
            named.setdefault(one.trace_id, one.session)
        if one.conversation:
            conversations.setdefault(one.trace_id, one.conversation)
    return {**traces, **conversations, **named}


def _target(one: Facts) -> str | None:
    """To whom a handoff goes."""
    if one.kind == "handoff" or "target" in one.details:
        return one.details.get("target")
    return one.name.removeprefix(_TRANSFER) if one.kind == "tool" and one.name.startswith(_TRANSFER) else None


def _is_above(instance: Instance, other: Instance) -> bool:
    """Whether one is among the ancestors of the other."""
    seen, current = set[int](), other
    while current is not None and id(current) not in seen:
        if current is instance:
            return True
        seen.add(id(current))
        current = current.parent
    return False
