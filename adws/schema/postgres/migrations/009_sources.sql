-- What importers need to add a record once, however often they meet it: the name that its source gives to a log record (agents
-- and prompts carry it in their id), and the files that have been read already.

ALTER TABLE agent_logs ADD COLUMN source_key TEXT;
ALTER TABLE system_logs ADD COLUMN source_key TEXT;

CREATE UNIQUE INDEX IF NOT EXISTS idx_agent_logs_source ON agent_logs (source_key) WHERE source_key IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS idx_system_logs_source ON system_logs (source_key) WHERE source_key IS NOT NULL;

CREATE TABLE IF NOT EXISTS source_files (
    path TEXT COLLATE "C" PRIMARY KEY,
    size BIGINT NOT NULL,
    modified_ns BIGINT NOT NULL,
    skipped_count BIGINT NOT NULL DEFAULT 0,
    imported_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
