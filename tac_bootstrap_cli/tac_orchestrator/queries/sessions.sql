-- get --
SELECT session_id, status, started_at, last_activity_at, agent_count, running_count, failed_count, prompt_count,
    prompt_failed_count, priced_count, unpriced_count, tokens_input, tokens_output, tokens_cache_read, tokens_cache_write,
    CASE WHEN priced_count > 0 THEN cost_usd END AS cost_usd, pruned_at
FROM sessions WHERE session_id = :session_id

-- list --
-- Sessions, the newest first.
SELECT session_id, status, started_at, last_activity_at, agent_count, running_count, failed_count, prompt_count,
    prompt_failed_count, priced_count, unpriced_count, tokens_input, tokens_output, tokens_cache_read, tokens_cache_write,
    CASE WHEN priced_count > 0 THEN cost_usd END AS cost_usd, pruned_at
FROM sessions WHERE {filters} ORDER BY sessions.started_at DESC, sessions.session_id DESC LIMIT :limit

-- list.status --
{also}sessions.status = :status

-- list.since --
sessions.started_at >= :since

-- list.until --
sessions.started_at < :until

-- list.before --
(sessions.started_at, sessions.session_id)
    < (SELECT earlier.started_at, earlier.session_id FROM sessions AS earlier WHERE earlier.session_id = :before)

-- list.until.before --
-- Of two ends that the index may begin at, SQLite takes the first; a page begins at its own.
+sessions.started_at < :until AND (sessions.started_at, sessions.session_id)
    < (SELECT earlier.started_at, earlier.session_id FROM sessions AS earlier WHERE earlier.session_id = :before)

-- totals --
-- How much there is, from what is counted for each session anyway. A prompt is counted there when it has ended, or has a cost.
SELECT COUNT(*) AS session_count, COALESCE(SUM(agent_count), 0) AS agent_count,
    COALESCE(SUM(running_count), 0) AS running_count, COALESCE(SUM(prompt_count), 0)
        + (SELECT COUNT(*) FROM prompts WHERE (status = 'pending' OR status = 'streaming') AND cost_usd IS NULL) AS prompt_count
FROM sessions

-- matching --
-- The sessions whose name begins with what somebody typed; the newest first. Few are put in order; of many, the newest are soon
-- met by who goes back in time.
WITH few AS MATERIALIZED (
    SELECT session_id, started_at FROM sessions WHERE session_id >= :first AND session_id < :last LIMIT 500
)
SELECT session_id FROM (
    SELECT session_id, started_at FROM few WHERE (SELECT COUNT(*) FROM few) < 500
    UNION ALL
    SELECT session_id, started_at FROM (
        SELECT session_id, started_at FROM sessions
        WHERE (SELECT COUNT(*) FROM few) = 500 AND +sessions.session_id >= :first AND +sessions.session_id < :last
        ORDER BY sessions.started_at DESC, sessions.session_id DESC LIMIT :limit
    ) AS newest
) AS found
ORDER BY started_at DESC, session_id DESC LIMIT :limit

-- tree --
-- The agents of a session in the order of their start, with the name of their kind and the totals of their own prompts.
SELECT agents.*, orchestrator_agents.name, orchestrator_agents.agent_type, 0 AS depth,
    COALESCE(totals.prompt_count, 0) AS prompt_count, totals.tokens_input, totals.tokens_output
FROM agents
JOIN orchestrator_agents ON orchestrator_agents.id = agents.orchestrator_agent_id
LEFT JOIN (
    SELECT prompts.agent_id, COUNT(*) AS prompt_count, SUM(prompts.tokens_input) AS tokens_input,
        SUM(prompts.tokens_output) AS tokens_output
    FROM prompts JOIN agents AS owners ON owners.id = prompts.agent_id
    WHERE owners.session_id = :session_id GROUP BY prompts.agent_id
) AS totals ON totals.agent_id = agents.id
WHERE agents.session_id = :session_id
ORDER BY agents.started_at, agents.id

-- delete --
-- All agents of the session, and the session with the last of them.
DELETE FROM agents WHERE session_id = :id
