-- ended --
-- Sessions in which nothing has happened since a time, and of which there still are rows; the oldest first. One whose agents
-- have children in another session waits for that one: these would become roots, and could fail a session that did not.
SELECT sessions.session_id FROM sessions
WHERE sessions.started_at < :until AND sessions.last_activity_at < :until AND sessions.running_count = 0
  AND EXISTS (SELECT 1 FROM agents WHERE agents.session_id = sessions.session_id)
  AND NOT EXISTS (
      SELECT 1 FROM agents JOIN agents AS children ON children.parent_agent_id = agents.id
      WHERE agents.session_id = sessions.session_id AND children.session_id <> agents.session_id
  )
ORDER BY sessions.started_at, sessions.session_id LIMIT :limit

-- plan --
-- How much there is of those sessions, and of the system's logs. Lengths are in characters, on average over some of the newest.
-- SQLite takes the tables of a CROSS JOIN in their order, here from the few sessions to their many rows.
WITH ended AS MATERIALIZED (
    SELECT sessions.session_id FROM sessions
    WHERE sessions.started_at < :until AND sessions.last_activity_at < :until AND sessions.running_count = 0
      AND EXISTS (SELECT 1 FROM agents WHERE agents.session_id = sessions.session_id)
      AND NOT EXISTS (
          SELECT 1 FROM agents JOIN agents AS children ON children.parent_agent_id = agents.id
          WHERE agents.session_id = sessions.session_id AND children.session_id <> agents.session_id
      )
)
SELECT
    (SELECT COUNT(*) FROM ended) AS sessions,
    (SELECT COUNT(*) FROM ended CROSS JOIN agents WHERE agents.session_id = ended.session_id) AS agents,
    (SELECT COUNT(*) FROM ended CROSS JOIN agents CROSS JOIN prompts
     WHERE agents.session_id = ended.session_id AND prompts.agent_id = agents.id) AS prompts,
    (SELECT COUNT(*) FROM ended CROSS JOIN agents CROSS JOIN agent_logs
     WHERE agents.session_id = ended.session_id AND agent_logs.agent_id = agents.id) AS agent_logs,
    (SELECT COUNT(*) FROM system_logs WHERE system_logs.created_at < :until) AS system_logs,
    (SELECT AVG(length) FROM (
        SELECT LENGTH(prompt_text) + COALESCE(LENGTH(response_text), 0) + COALESCE(LENGTH(CAST(details AS TEXT)), 0) AS length
        FROM prompts WHERE prompts.created_at < :until ORDER BY prompts.created_at DESC LIMIT :sample) AS sampled) AS prompt_length,
    (SELECT AVG(length) FROM (
        SELECT LENGTH(message) + COALESCE(LENGTH(CAST(details AS TEXT)), 0) AS length
        FROM agent_logs WHERE agent_logs.created_at < :until
        ORDER BY agent_logs.created_at DESC LIMIT :sample) AS sampled) AS log_length

-- agent_logs --
SELECT agent_logs.id FROM agents JOIN agent_logs ON agent_logs.agent_id = agents.id
WHERE agents.session_id = :session_id LIMIT :limit

-- prompts --
SELECT prompts.id FROM agents JOIN prompts ON prompts.agent_id = agents.id
WHERE agents.session_id = :session_id LIMIT :limit

-- agents --
-- Those that own nothing any more, the ones without children first.
SELECT agents.id, EXISTS (SELECT 1 FROM agents AS children WHERE children.parent_agent_id = agents.id) AS is_parent
FROM agents
WHERE agents.session_id = :session_id
  AND NOT EXISTS (SELECT 1 FROM prompts WHERE prompts.agent_id = agents.id)
  AND NOT EXISTS (SELECT 1 FROM agent_logs WHERE agent_logs.agent_id = agents.id)
ORDER BY 2 LIMIT :limit

-- is_left --
SELECT agents.id FROM agents WHERE agents.session_id = :session_id LIMIT 1

-- mark --
-- Says that rows of a session are about to go; finds nothing to say once the session lives again.
UPDATE sessions SET pruned_at = :pruned_at
WHERE session_id = :session_id AND running_count = 0 AND last_activity_at < :until

-- keep_days --
-- What these prompts count for, kept where the deletion does not take it away.
INSERT INTO daily_usage (day, orchestrator_agent_id, model, pruned, prompt_count, prompt_failed_count, priced_count,
                         unpriced_count, tokens_input, tokens_output, tokens_cache_read, tokens_cache_write, cost_usd)
SELECT date(created_at), orchestrator_agent_id, model, 1, SUM(prompt_count), SUM(prompt_failed_count), SUM(priced_count),
    SUM(unpriced_count), SUM(tokens_input), SUM(tokens_output), SUM(tokens_cache_read), SUM(tokens_cache_write),
    ROUND(SUM(cost_usd), 8)
FROM prompt_postings WHERE prompt_id IN (VALUES (:id))
GROUP BY 1, 2, 3
ON CONFLICT (day, orchestrator_agent_id, model, pruned) DO UPDATE SET
    prompt_count = daily_usage.prompt_count + excluded.prompt_count,
    prompt_failed_count = daily_usage.prompt_failed_count + excluded.prompt_failed_count,
    priced_count = daily_usage.priced_count + excluded.priced_count,
    unpriced_count = daily_usage.unpriced_count + excluded.unpriced_count,
    tokens_input = daily_usage.tokens_input + excluded.tokens_input,
    tokens_output = daily_usage.tokens_output + excluded.tokens_output,
    tokens_cache_read = daily_usage.tokens_cache_read + excluded.tokens_cache_read,
    tokens_cache_write = daily_usage.tokens_cache_write + excluded.tokens_cache_write,
    cost_usd = ROUND(daily_usage.cost_usd + excluded.cost_usd, 8)

-- keep_prompts --
-- Adds to the session what the deletion of these prompts is about to take away.
UPDATE sessions SET
    prompt_count = sessions.prompt_count + kept.prompt_count,
    prompt_failed_count = sessions.prompt_failed_count + kept.prompt_failed_count,
    priced_count = sessions.priced_count + kept.priced_count,
    unpriced_count = sessions.unpriced_count + kept.unpriced_count,
    tokens_input = sessions.tokens_input + kept.tokens_input,
    tokens_output = sessions.tokens_output + kept.tokens_output,
    tokens_cache_read = sessions.tokens_cache_read + kept.tokens_cache_read,
    tokens_cache_write = sessions.tokens_cache_write + kept.tokens_cache_write,
    cost_usd = ROUND(sessions.cost_usd + kept.cost_usd, 8)
FROM (
    SELECT session_id, SUM(prompt_count) AS prompt_count, SUM(prompt_failed_count) AS prompt_failed_count,
        SUM(priced_count) AS priced_count, SUM(unpriced_count) AS unpriced_count, SUM(tokens_input) AS tokens_input,
        SUM(tokens_output) AS tokens_output, SUM(tokens_cache_read) AS tokens_cache_read,
        SUM(tokens_cache_write) AS tokens_cache_write, SUM(cost_usd) AS cost_usd
    FROM prompt_postings WHERE prompt_id IN (VALUES (:id)) GROUP BY session_id
) AS kept
WHERE sessions.session_id = kept.session_id

-- keep_agents --
-- Adds to the session what the deletion of these agents is about to take away.
UPDATE sessions SET
    agent_count = sessions.agent_count + kept.agent_count,
    failed_count = sessions.failed_count + kept.failed_count,
    root_failed_count = sessions.root_failed_count + kept.root_failed_count,
    root_cancelled_count = sessions.root_cancelled_count + kept.root_cancelled_count
FROM (
    SELECT session_id, SUM(agent_count) AS agent_count, SUM(failed_count) AS failed_count,
        SUM(root_failed_count) AS root_failed_count, SUM(root_cancelled_count) AS root_cancelled_count
    FROM agent_postings WHERE agent_id IN (VALUES (:id)) GROUP BY session_id
) AS kept
WHERE sessions.session_id = kept.session_id

-- delete_agent_logs --
DELETE FROM agent_logs WHERE id IN (VALUES (:id))

-- delete_prompts --
DELETE FROM prompts WHERE id IN (VALUES (:id))

-- delete_agents --
-- What somebody has given a prompt meanwhile stays: its cost has not been kept.
DELETE FROM agents WHERE id IN (VALUES (:id)) AND NOT EXISTS (SELECT 1 FROM prompts WHERE prompts.agent_id = agents.id)

-- old_leases --
-- Leases that no agent points to.
SELECT leases.* FROM leases
WHERE leases.id > :after AND leases.heartbeat_at < :until AND (leases.released_at IS NULL OR leases.released_at < :until)
  AND NOT EXISTS (SELECT 1 FROM agents WHERE agents.lease_id = leases.id)
ORDER BY leases.id LIMIT :limit

-- delete_leases --
DELETE FROM leases WHERE id IN (VALUES (:id)) AND NOT EXISTS (SELECT 1 FROM agents WHERE agents.lease_id = leases.id)

-- source_files --
SELECT path FROM source_files WHERE path > :after ORDER BY path LIMIT :limit

-- delete_source_files --
DELETE FROM source_files WHERE path IN (VALUES (:path))

-- old_traces --
-- Traces that nothing has come for since. Their rows, if somebody keeps them, stay.
SELECT spans.trace_id FROM spans WHERE spans.trace_id > :after
GROUP BY spans.trace_id HAVING MAX(spans.received_at) < :until
ORDER BY spans.trace_id LIMIT :limit

-- delete_spans --
DELETE FROM spans WHERE trace_id IN (VALUES (:trace_id))
