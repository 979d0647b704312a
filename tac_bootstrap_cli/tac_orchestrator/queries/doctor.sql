-- running --
-- The processes that agents run in, and how many agents each of them runs.
SELECT leases.host, leases.process_id, COUNT(*) AS agents
FROM agents JOIN leases ON leases.id = agents.lease_id
WHERE agents.lease_id IS NOT NULL
  AND (agents.status = 'initializing' OR agents.status = 'planning' OR agents.status = 'executing' OR agents.status = 'reviewing')
GROUP BY leases.id, leases.host, leases.process_id ORDER BY leases.id

-- growth --
-- How many logs there are, by their numbers, which have few gaps; how many of them are new, of which a million are counted; and
-- how old the oldest row is.
SELECT
    COALESCE((SELECT MAX(id) - MIN(id) + 1 FROM agent_logs), 0)
        + COALESCE((SELECT MAX(id) - MIN(id) + 1 FROM system_logs), 0) AS logs,
    (SELECT COUNT(*) FROM (SELECT 1 FROM agent_logs WHERE created_at >= :recently LIMIT 1000000) AS agents_new)
        + (SELECT COUNT(*) FROM (SELECT 1 FROM system_logs WHERE created_at >= :recently LIMIT 1000000) AS systems_new) AS new_logs,
    (SELECT MIN(started_at) FROM agents) AS oldest_agent,
    (SELECT MIN(created_at) FROM system_logs) AS oldest_system_log

-- files_read --
-- Files that were imported lately, and what of them could not be read.
SELECT COUNT(*) AS files, MAX(imported_at) AS last_imported_at, COALESCE(SUM(skipped_count), 0) AS skipped
FROM source_files WHERE imported_at >= :recently
