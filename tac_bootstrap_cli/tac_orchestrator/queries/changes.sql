-- changes_after --
SELECT id, entity, operation, row_id FROM changes WHERE id > :id ORDER BY id LIMIT :limit

-- agent_logs_after --
SELECT id, 'agent_log' AS entity, 'insert' AS operation, id AS row_id FROM agent_logs WHERE id > :id ORDER BY id LIMIT :limit

-- system_logs_after --
SELECT id, 'system_log' AS entity, 'insert' AS operation, id AS row_id FROM system_logs WHERE id > :id ORDER BY id LIMIT :limit

-- ends --
-- The oldest change that is kept, and how far the feed goes.
SELECT (SELECT MIN(id) FROM changes) AS first, (SELECT MAX(id) FROM changes) AS change,
    (SELECT MAX(id) FROM agent_logs) AS agent_log, (SELECT MAX(id) FROM system_logs) AS system_log

-- trim --
DELETE FROM changes WHERE id <= (SELECT MAX(id) FROM changes) - :keep
