"""The records of one trace in their places, as they come: those below may come before those above."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tac_orchestrator.ingest.otel.conventions.logs import NO_TRACE
from tac_orchestrator.ingest.otel.facts import Facts
from tac_orchestrator.ingest.otel.forest import Place, Unions

# Frameworks for which there are rules of their own about who is an agent, and whose.
_PARTICULAR = ("langchain", "llama_index", "gcp.vertex.agent")


def is_plain(one: Facts) -> bool:
    """Whether it follows from those above a record whose it is."""
    if one.is_graph_node or one.is_flat or one.parent_agent is not None or one.kind == "handoff" or "target" in one.details:
        return False
    if one.trace_id == NO_TRACE or one.trace_id.startswith("cc:") or one.name.startswith("transfer_to_"):
        return False
    return not any(framework in one.scope for framework in _PARTICULAR)


class Branches:
    """Where each record stands, by its key. What is around it is the nearest agent, request or tool above."""

    def __init__(self) -> None:
        self.facts: dict[str, Facts] = {}
        self._children = defaultdict[str, list[str]](list)
        self._around: dict[str, str | None] = {}
        self._inside = defaultdict[str, list[str]](list)  # requests and tools, by what is around them
        self._enclosing: dict[str, str | None] = {}  # the nearest agent above
        self._trees = Unions[str]()

    def at(self, place: Place) -> Facts | None:
        return self.facts.get(place[1])

    def above(self, one: Facts) -> Iterator[Facts]:
        current = self._around.get(one.key)
        while current is not None:
            yield self.facts[current]
            current = self._around[current]

    def is_agent(self, one: Facts) -> bool:
        return one.kind == "agent" and one.agent is not None

    def _put_below(self, one: Facts) -> bool:
        """False if it would stand above itself."""
        if one.parent is None:
            return True
        if self._trees.leader(one.parent) == self._trees.leader(one.key):
            return False
        self._trees.join(one.parent, one.key)
        self._children[one.parent].append(one.key)
        return True

    def _stand(self, one: Facts, around: str | None, enclosing: str | None) -> None:
        if around is not None and self._around.get(one.key) is None and one.kind in ("call", "tool"):
            self._inside[around].append(one.key)
        self._around[one.key], self._enclosing[one.key] = around, enclosing

    def _stands(self, one: Facts) -> tuple[str | None, str | None]:
        above = self.facts.get(one.parent) if one.parent is not None else None
        if above is None:
            return None, None
        is_agent = self.is_agent(above)
        around = above.key if is_agent or above.kind in ("call", "tool") else self._around.get(above.key)
        return around, above.key if is_agent else self._enclosing.get(above.key)

    def _may_wait(self, key: str) -> bool:
        """Whether it may have come before the request that it is about."""
        one = self.facts[key]
        return one.kind == "message" or is_partial(one)


def is_partial(one: Facts) -> bool:
    return one.call is not None and one.call.is_partial
