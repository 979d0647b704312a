"""Records in their places: who stands under whom, whatever order they came in and whatever they say of their parents."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from tac_orchestrator.ingest.otel.facts import Facts

Place = tuple[str, str]
"""Trace and key of a record."""

K = TypeVar("K", bound=Hashable)


class Standing(Protocol):
    """Some records, the first by time first, and what stands above them, where only agents, calls and tools matter."""

    facts: list[Facts]

    def at(self, place: Place) -> Facts | None: ...
    def above(self, one: Facts) -> Iterator[Facts]: ...


class Forest:
    """The records of some traces. Where some name each other as parents in a circle, the first of them by key has none."""

    def __init__(self, facts: Iterable[Facts]) -> None:
        self.facts = sorted(facts, key=lambda one: (one.start_us, one.trace_id, one.key))
        self._by_place = {(one.trace_id, one.key): one for one in self.facts}
        self._roots: set[Place] = set()
        self._cut_circles()

    def at(self, place: Place) -> Facts | None:
        return self._by_place.get(place)

    def parent(self, one: Facts) -> Facts | None:
        if one.parent is None or (one.trace_id, one.key) in self._roots:
            return None
        return self._by_place.get((one.trace_id, one.parent))

    def above(self, one: Facts) -> Iterator[Facts]:
        """Its ancestors, the nearest first."""
        current = self.parent(one)
        while current is not None:
            yield current
            current = self.parent(current)

    def nearest(self, one: Facts, stops: Callable[[Facts], bool], known: dict[Place, Facts | None]) -> Facts | None:
        """The nearest ancestor of which this holds. `known` remembers the answers to one question."""
        path, found = [one], self.parent(one)
        while found is not None and not stops(found):
            place = place_of(found)
            if place in known:
                found = known[place]
                break
            path.append(found)
            found = self.parent(found)
        for passed in path:
            known[place_of(passed)] = found
        return found

    def _cut_circles(self) -> None:
        settled: set[Place] = set()
        for one in self.facts:
            path: dict[Place, Facts] = {}
            current: Facts | None = one
            while current is not None and place_of(current) not in settled:
                place = place_of(current)
                if place in path:
                    places = list(path)
                    self._roots.add(min(places[places.index(place) :]))
                    break
                path[place] = current
                current = self.parent(current)
            settled.update(path)


class Unions(Generic[K]):
    """Which things are one."""

    def __init__(self) -> None:
        self._leaders: dict[K, K] = {}

    def leader(self, key: K) -> K:
        leaders = self._leaders
        while (above := leaders.get(key, key)) != key:
            leaders[key] = leaders.get(above, above)
            key = above
        return key

    def join(self, one: K, other: K) -> None:
        first, second = self.leader(one), self.leader(other)
        if first != second:
            self._leaders[second] = first


def place_of(one: Facts) -> Place:
    return one.trace_id, one.key
