-- Each recording process holds one lease, and the agents it runs point to it: when the process is gone, so is what it ran.
-- process_started_at tells a process from a later one of the same number. A process that ended orderly has released_at.

CREATE TABLE IF NOT EXISTS leases (
    id UUID PRIMARY KEY,
    host TEXT NOT NULL,
    process_id BIGINT NOT NULL,
    process_started_at TEXT NOT NULL,
    acquired_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    released_at TIMESTAMPTZ
);

ALTER TABLE agents ADD COLUMN lease_id UUID REFERENCES leases (id) ON DELETE SET NULL;

CREATE INDEX IF NOT EXISTS idx_agents_lease ON agents (lease_id) WHERE lease_id IS NOT NULL;
