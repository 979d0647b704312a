"""What is known of traces, kept between the batches of their records, so that it need not be read and concluded again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from tac_orchestrator.ingest.otel.facts import Facts
from tac_orchestrator.ingest.otel.forest import Place
from tac_orchestrator.ingest.otel.growing import Growing, Unfit
from tac_orchestrator.ingest.otel.rows import Derived, derive

LARGE = 500
"""Records from which on a trace is kept with its rows. Those of a smaller one are made anew more quickly than looked after."""

MOST_RECORDS = 25_000
"""Records that are kept in memory, of all traces together: about 4 KB each. More, only if one trace alone has more."""

Change = tuple[Derived, Derived]
"""The rows that change, as they were and as they are to become."""


class Trace:
    """All records of one trace. `common` are the names of answers in it that tell nothing apart."""

    def __init__(self, facts: Mapping[Place, Facts], common: Iterable[str] = ()) -> None:
        self.facts = dict(facts)
        self.common = frozenset(common)
        self._derived: Derived | None = None
        self._growing: Growing | None = None

    @property
    def is_large(self) -> bool:
        return self._derived is not None

    def add(self, fresh: Mapping[Place, Facts]) -> Change:
        """What these records change. After an exception it is of no use any more."""
        if self._growing is not None:
            try:
                change = self._growing.add(fresh.values())
            except Unfit:
                self._growing = None
                self._derived = derive(self.facts.values())
            else:
                self.facts |= fresh
                return change
        before = self._derived or (derive(self.facts.values()) if self.facts else Derived())
        self.facts |= fresh
        if len(self.facts) < LARGE:
            return before, derive(self.facts.values())
        return before, self._settle()

    def _settle(self) -> Derived:
        trace_ids = {trace_id for trace_id, _ in self.facts}
        try:
            self._growing = Growing(trace_ids.pop(), self.facts.values())
            self._derived = self._growing.derived
        except Unfit:
            self._derived = derive(self.facts.values())
        return self._derived


class Memory:
    """The traces that were written to last."""

    def __init__(self, most: int = MOST_RECORDS) -> None:
        self._most = most
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._size = 0

    def get(self, trace_id: str) -> Trace | None:
        return self._traces.get(trace_id)

    def keep(self, trace_id: str, trace: Trace) -> None:
        self.forget((trace_id,))
        self._traces[trace_id] = trace
        self._size += len(trace.facts)
        while self._size > self._most and len(self._traces) > 1:
            self.forget((next(iter(self._traces)),))

    def forget(self, trace_ids: Iterable[str]) -> None:
        for trace_id in trace_ids:
            trace = self._traces.pop(trace_id, None)
            self._size -= len(trace.facts) if trace is not None else 0
