-- holdings --
-- How many rows of each kind there are, and how many agents run. A prompt that has ended, or has a cost, is counted for its day.
SELECT
    (SELECT COUNT(*) FROM sessions) AS session_count,
    (SELECT COUNT(*) FROM sessions WHERE started_at >= :since) AS sessions_today,
    (SELECT COUNT(*) FROM agents) AS agent_count,
    (SELECT COUNT(*) FROM agents
     WHERE status = 'initializing' OR status = 'planning' OR status = 'executing' OR status = 'reviewing') AS running_count,
    (SELECT COALESCE(SUM(prompt_count), 0) FROM daily_usage WHERE pruned = 0)
        + (SELECT COUNT(*) FROM prompts WHERE (status = 'pending' OR status = 'streaming') AND cost_usd IS NULL) AS prompt_count

-- agents_at_work --
-- How many agents are in each state that is not the last; few, whatever the store holds.
SELECT status, COUNT(*) AS number FROM agents
WHERE status = 'initializing' OR status = 'planning' OR status = 'executing' OR status = 'reviewing'
GROUP BY status

-- prompts_under_way --
-- How many requests wait for the rest of their answer.
SELECT status, COUNT(*) AS number FROM prompts WHERE status = 'pending' OR status = 'streaming' GROUP BY status

-- sessions --
-- Each has one of these states; to name them is what lets the index count them.
SELECT status, COUNT(*) AS number FROM sessions
WHERE status = 'running' OR status = 'completed' OR status = 'failed' OR status = 'cancelled'
GROUP BY status
