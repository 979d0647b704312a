-- What importers need to add a record once, however often they meet it: the name that its source gives to a log record (agents
-- and prompts carry it in their id), and the files that have been read already.

ALTER TABLE agent_logs ADD COLUMN source_key TEXT;
ALTER TABLE system_logs ADD COLUMN source_key TEXT;

CREATE UNIQUE INDEX IF NOT EXISTS idx_agent_logs_source ON agent_logs (source_key) WHERE source_key IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS idx_system_logs_source ON system_logs (source_key) WHERE source_key IS NOT NULL;

CREATE TABLE IF NOT EXISTS source_files (
    path TEXT PRIMARY KEY NOT NULL,
    size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    skipped_count INTEGER NOT NULL DEFAULT 0,
    imported_at TEXT NOT NULL DEFAULT (datetime('now'))
);
