"""Which convention a record follows: the first that knows it."""

from __future__ import annotations

from tac_orchestrator.ingest.otel.conventions import claude_code, genai, openinference, traceloop, vercel
from tac_orchestrator.ingest.otel.conventions.logs import read_log
from tac_orchestrator.ingest.otel.conventions.reading import structural
from tac_orchestrator.ingest.otel.facts import Reading
from tac_orchestrator.ingest.otel.wire import LogRecord, Span

# The more particular first: some spans follow two.
_CONVENTIONS = (claude_code, openinference, vercel, traceloop, genai)


def read_span(span: Span) -> Reading:
    for convention in _CONVENTIONS:
        if convention.recognises(span):
            return convention.read(span)
    facts = structural(span)
    session = span.attributes.get("session.id")
    facts.session = session if isinstance(session, str) and session else None
    return Reading(facts)


def read_record(record: LogRecord) -> Reading:
    return read_log(record)
