-- create --
-- An event in the life of an agent.
INSERT INTO agent_logs (agent_id, log_level, log_type, message, details, created_at, source_key)
VALUES (:agent_id, :log_level, :log_type, :message, :details, :created_at, :source_key)

-- create_if_known --
-- The same, if there is such an agent. What belongs to none goes to the system's logs: `create_if_unknown`.
INSERT INTO agent_logs (agent_id, log_level, log_type, message, details, created_at, source_key)
SELECT told.column1, told.column2, told.column3, told.column4, told.column5, told.column6, told.column7
FROM (VALUES (:agent_id, :log_level, :log_type, :message, :details, :created_at, :source_key)) AS told
WHERE EXISTS (SELECT 1 FROM agents WHERE agents.id = told.column1)

-- get --
SELECT agent_logs.* FROM agent_logs WHERE id = :id

-- list --
-- Logs of agents, the newest first.
SELECT agent_logs.* FROM agent_logs WHERE {filters} ORDER BY agent_logs.created_at DESC, agent_logs.id DESC LIMIT :limit

-- list.agent_id --
{also}agent_logs.agent_id = :agent_id

-- list.of_session --
-- Logs of all agents of a session, the newest first. Each agent gives its newest, however many it has.
SELECT entries.* FROM agents CROSS JOIN agent_logs AS entries
WHERE agents.session_id = :session_id AND entries.id IN (
    SELECT agent_logs.id FROM agent_logs WHERE agent_logs.agent_id = agents.id AND {more_filters}
    ORDER BY agent_logs.created_at DESC, agent_logs.id DESC LIMIT :limit
)
ORDER BY entries.created_at DESC, entries.id DESC LIMIT :limit

-- list.newest_of_session --
-- The same where only times are asked for, from an index alone until it is known which rows these are. What is older than the
-- last of a full page of any one agent is on no page of all of them.
SELECT entries.* FROM agent_logs AS entries WHERE entries.id IN (
    SELECT agent_logs.id FROM agents CROSS JOIN agent_logs
    WHERE agents.session_id = :session_id AND agent_logs.agent_id = agents.id AND {more_filters}
      AND agent_logs.created_at >= COALESCE((
        SELECT MAX((
            SELECT agent_logs.created_at FROM agent_logs WHERE agent_logs.agent_id = others.id AND {more_filters}
            ORDER BY agent_logs.created_at DESC, agent_logs.id DESC LIMIT 1 OFFSET :limit - 1
        )) FROM agents AS others WHERE others.session_id = :session_id
      ), '')
    ORDER BY agent_logs.created_at DESC, agent_logs.id DESC LIMIT :limit
)
ORDER BY entries.created_at DESC, entries.id DESC

-- list.newest_of_session.since --
-- The same since a time, from which the index would otherwise be read on.
SELECT entries.* FROM agent_logs AS entries WHERE entries.id IN (
    SELECT agent_logs.id FROM agents CROSS JOIN agent_logs
    WHERE agents.session_id = :session_id AND agent_logs.agent_id = agents.id AND {more_filters}
      AND agent_logs.created_at >= COALESCE((
        SELECT MAX((
            SELECT agent_logs.created_at FROM agent_logs
            WHERE agent_logs.agent_id = others.id AND agent_logs.created_at >= :since AND {more_filters}
            ORDER BY agent_logs.created_at DESC, agent_logs.id DESC LIMIT 1 OFFSET :limit - 1
        )) FROM agents AS others WHERE others.session_id = :session_id
      ), :since)
    ORDER BY agent_logs.created_at DESC, agent_logs.id DESC LIMIT :limit
)
ORDER BY entries.created_at DESC, entries.id DESC

-- list.session_id --
-- Of an agent that is named: whether it is one of the session.
EXISTS (SELECT 1 FROM agents WHERE agents.id = :agent_id AND agents.session_id = :session_id)

-- list.log_level --
{also}agent_logs.log_level = :log_level AND agent_logs.log_level <> 'INFO'

-- list.log_level.common --
+agent_logs.log_level = :log_level

-- list.log_type --
{also}agent_logs.log_type = :log_type AND agent_logs.log_type <> 'milestone' AND agent_logs.log_type <> 'tool_call'

-- list.log_type.common --
+agent_logs.log_type = :log_type

-- list.log_type.log_level --
{also}agent_logs.log_type = :log_type AND {also}agent_logs.log_level = :log_level
    AND agent_logs.log_type <> 'milestone' AND agent_logs.log_type <> 'tool_call'

-- list.log_type.agent_id --
{also}agent_logs.agent_id = :agent_id AND {also}agent_logs.log_type = :log_type
    AND agent_logs.log_type <> 'milestone' AND agent_logs.log_type <> 'tool_call'

-- list.log_level.agent_id --
{also}agent_logs.agent_id = :agent_id AND {also}agent_logs.log_level = :log_level AND agent_logs.log_level <> 'INFO'

-- list.of_session.log_type --
agent_logs.log_type = :log_type AND agent_logs.log_type <> 'milestone' AND agent_logs.log_type <> 'tool_call'

-- list.of_session.log_level --
agent_logs.log_level = :log_level AND agent_logs.log_level <> 'INFO'

-- list.of_session.log_type.log_level --
agent_logs.log_type = :log_type AND +agent_logs.log_level = :log_level
    AND agent_logs.log_type <> 'milestone' AND agent_logs.log_type <> 'tool_call'

-- list.since --
agent_logs.created_at >= :since

-- list.until --
agent_logs.created_at < :until

-- list.before --
(agent_logs.created_at, agent_logs.id)
    < (SELECT earlier.created_at, earlier.id FROM agent_logs AS earlier WHERE earlier.id = :before)

-- list.until.before --
-- Of two ends that the index may begin at, SQLite takes the first; a page begins at its own.
+agent_logs.created_at < :until AND (agent_logs.created_at, agent_logs.id)
    < (SELECT earlier.created_at, earlier.id FROM agent_logs AS earlier WHERE earlier.id = :before)

-- count --
-- How many there are: those that have been counted, and the rest.
SELECT log_count + (SELECT COUNT(*) FROM agent_logs WHERE agent_logs.id > log_counts.position) AS log_count
FROM log_counts WHERE entity = 'agent_log'

-- uncounted --
-- Behind which position those begin that have not been counted, and how far they go.
SELECT position, COALESCE((SELECT MAX(id) FROM agent_logs), 0) AS last FROM log_counts WHERE entity = 'agent_log'

-- note_count --
UPDATE log_counts SET position = :last, log_count = log_count + (
    SELECT COUNT(*) FROM agent_logs WHERE agent_logs.id > log_counts.position AND agent_logs.id <= :last
)
WHERE entity = 'agent_log' AND position < :last

-- delete --
DELETE FROM agent_logs WHERE id = :id

-- delete_older --
-- In pieces, so that no writer waits long.
DELETE FROM agent_logs WHERE id IN (SELECT id FROM agent_logs WHERE created_at < :until ORDER BY created_at LIMIT :limit)

-- known --
-- Which of these records have been made a log already.
SELECT agent_logs.* FROM (VALUES (:source_key)) AS wanted JOIN agent_logs ON agent_logs.source_key = wanted.column1

-- save --
-- What a source says of an event, in full.
INSERT INTO agent_logs (agent_id, log_level, log_type, message, details, created_at, source_key)
VALUES (:agent_id, :log_level, :log_type, :message, :details, :created_at, :source_key)
ON CONFLICT (source_key) WHERE source_key IS NOT NULL DO UPDATE SET
    agent_id = excluded.agent_id, log_level = excluded.log_level, message = excluded.message, details = excluded.details,
    created_at = excluded.created_at
