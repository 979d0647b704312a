-- agent_log --
SELECT agent_logs.*, agents.session_id
FROM (VALUES (:id)) AS wanted
JOIN agent_logs ON agent_logs.id = wanted.column1
JOIN agents ON agents.id = agent_logs.agent_id

-- system_log --
SELECT system_logs.*, NULL AS session_id, NULL AS agent_id
FROM (VALUES (:id)) AS wanted JOIN system_logs ON system_logs.id = wanted.column1
