-- create --
INSERT INTO leases (id, host, process_id, process_started_at, acquired_at, heartbeat_at)
VALUES (:id, :host, :process_id, :process_started_at, :acquired_at, :heartbeat_at)

-- pulse --
-- Says that the process is still there.
UPDATE leases SET heartbeat_at = :heartbeat_at WHERE id = :id

-- release --
UPDATE leases SET released_at = :released_at WHERE id = :id

-- running --
-- The leases that running agents point to.
SELECT DISTINCT leases.* FROM agents JOIN leases ON leases.id = agents.lease_id
WHERE agents.lease_id IS NOT NULL
  AND (agents.status = 'initializing' OR agents.status = 'planning' OR agents.status = 'executing' OR agents.status = 'reviewing')

-- running_agents --
-- The agents that a process has not ended.
SELECT agents.id FROM agents WHERE lease_id = :lease_id
  AND (status = 'initializing' OR status = 'planning' OR status = 'executing' OR status = 'reviewing')
