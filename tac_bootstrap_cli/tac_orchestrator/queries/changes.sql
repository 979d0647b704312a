-- changes_after --
SELECT id || '.' || :agent_log || '.' || :system_log AS position, entity, operation, row_id
FROM changes WHERE id > :change ORDER BY id LIMIT :limit

-- agent_logs_after --
SELECT :change || '.' || id || '.' || :system_log AS position, 'agent_log' AS entity, 'insert' AS operation,
    CAST(id AS TEXT) AS row_id
FROM agent_logs WHERE id > :agent_log AND id <= :last_agent_log ORDER BY id LIMIT :limit

-- system_logs_after --
SELECT :change || '.' || :agent_log || '.' || id AS position, 'system_log' AS entity, 'insert' AS operation,
    CAST(id AS TEXT) AS row_id
FROM system_logs WHERE id > :system_log AND id <= :last_system_log ORDER BY id LIMIT :limit

-- last --
-- How far the feed goes.
SELECT COALESCE((SELECT MAX(id) FROM changes), 0) || '.' || COALESCE((SELECT MAX(id) FROM agent_logs), 0) || '.'
    || COALESCE((SELECT MAX(id) FROM system_logs), 0) AS position

-- gone --
-- Whether something behind this one was trimmed.
SELECT 1 AS gone WHERE (SELECT MIN(id) FROM changes) > :id + 1

-- trim --
DELETE FROM changes WHERE id <= (SELECT MAX(id) FROM changes) - :keep
