-- list.of_session --
-- Logs of all agents of a session, the newest first. Each agent gives its newest, however many it has.
SELECT entries.* FROM agents CROSS JOIN LATERAL (
    SELECT agent_logs.* FROM agent_logs WHERE agent_logs.agent_id = agents.id AND {more_filters}
    ORDER BY agent_logs.created_at DESC, agent_logs.id DESC LIMIT :limit
) AS entries
WHERE agents.session_id = :session_id
ORDER BY entries.created_at DESC, entries.id DESC LIMIT :limit

-- list.newest_of_session --
-- Its planner has no need of it: `list.of_session` does.

-- list.newest_of_session.since --

-- count --
-- How many there are: what has been added by each recorder.
SELECT COALESCE(SUM(log_count), 0) AS log_count FROM log_counts WHERE entity = 'agent_log'

-- uncounted --
-- All are counted when they are added.

-- note_count --
