-- The records of traces as far as other records need them: agents, requests and tools find their place by their ancestors, which
-- may come later than they do, and in another request. The five tables hold what these amount to.
--
-- details is what a record says, without its long texts, and with its members in their order, which says what comes first to people;
-- JSONB would lose it. response_id is the name that a provider gave to an answer, by which two
-- that tell of one request find each other.

CREATE TABLE IF NOT EXISTS spans (
    trace_id TEXT COLLATE "C" NOT NULL,
    span_id TEXT COLLATE "C" NOT NULL,
    parent_span_id TEXT,
    response_id TEXT,
    details JSON NOT NULL,
    received_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (trace_id, span_id)
);

CREATE INDEX IF NOT EXISTS idx_spans_response ON spans (response_id) WHERE response_id IS NOT NULL;
