-- mark --
-- Says that rows of a session are about to go; finds nothing to say once the session lives again.
UPDATE session_starts SET pruned_at = :pruned_at
FROM sessions
WHERE session_starts.session_id = :session_id AND sessions.session_id = session_starts.session_id
  AND sessions.running_count = 0 AND sessions.last_activity_at < :until

-- keep_days --
-- What these prompts count for, kept where the deletion does not take it away.
INSERT INTO daily_totals (day, orchestrator_agent_id, model, pruned, slot, prompt_count, prompt_failed_count, priced_count,
                          unpriced_count, tokens_input, tokens_output, tokens_cache_read, tokens_cache_write, cost_usd)
SELECT day, orchestrator_agent_id, model, 1, recorder_slot(), SUM(prompt_count), SUM(prompt_failed_count), SUM(priced_count),
    SUM(unpriced_count), SUM(tokens_input), SUM(tokens_output), SUM(tokens_cache_read), SUM(tokens_cache_write), SUM(cost_usd)
FROM prompt_postings WHERE prompt_id IN (VALUES (:id))
GROUP BY day, orchestrator_agent_id, model
ON CONFLICT (day, orchestrator_agent_id, model, pruned, slot) DO UPDATE SET
    prompt_count = daily_totals.prompt_count + excluded.prompt_count,
    prompt_failed_count = daily_totals.prompt_failed_count + excluded.prompt_failed_count,
    priced_count = daily_totals.priced_count + excluded.priced_count,
    unpriced_count = daily_totals.unpriced_count + excluded.unpriced_count,
    tokens_input = daily_totals.tokens_input + excluded.tokens_input,
    tokens_output = daily_totals.tokens_output + excluded.tokens_output,
    tokens_cache_read = daily_totals.tokens_cache_read + excluded.tokens_cache_read,
    tokens_cache_write = daily_totals.tokens_cache_write + excluded.tokens_cache_write,
    cost_usd = daily_totals.cost_usd + excluded.cost_usd

-- keep_prompts --
-- Adds to the session what the deletion of these prompts is about to take away.
INSERT INTO session_totals (session_id, slot, last_activity_at, prompt_count, prompt_failed_count, priced_count, unpriced_count,
                            tokens_input, tokens_output, tokens_cache_read, tokens_cache_write, cost_usd)
SELECT session_id, recorder_slot(), MAX(active_at), SUM(prompt_count), SUM(prompt_failed_count), SUM(priced_count),
    SUM(unpriced_count), SUM(tokens_input), SUM(tokens_output), SUM(tokens_cache_read), SUM(tokens_cache_write), SUM(cost_usd)
FROM prompt_postings WHERE prompt_id IN (VALUES (:id)) GROUP BY session_id
ON CONFLICT (session_id, slot) DO UPDATE SET
    prompt_count = session_totals.prompt_count + excluded.prompt_count,
    prompt_failed_count = session_totals.prompt_failed_count + excluded.prompt_failed_count,
    priced_count = session_totals.priced_count + excluded.priced_count,
    unpriced_count = session_totals.unpriced_count + excluded.unpriced_count,
    tokens_input = session_totals.tokens_input + excluded.tokens_input,
    tokens_output = session_totals.tokens_output + excluded.tokens_output,
    tokens_cache_read = session_totals.tokens_cache_read + excluded.tokens_cache_read,
    tokens_cache_write = session_totals.tokens_cache_write + excluded.tokens_cache_write,
    cost_usd = session_totals.cost_usd + excluded.cost_usd

-- keep_agents --
-- Adds to the session what the deletion of these agents is about to take away.
INSERT INTO session_totals (session_id, slot, last_activity_at, agent_count, failed_count, root_failed_count,
                            root_cancelled_count)
SELECT session_id, recorder_slot(), MAX(active_at), SUM(agent_count), SUM(failed_count), SUM(root_failed_count),
    SUM(root_cancelled_count)
FROM agent_postings WHERE agent_id IN (VALUES (:id)) GROUP BY session_id
ON CONFLICT (session_id, slot) DO UPDATE SET
    agent_count = session_totals.agent_count + excluded.agent_count,
    failed_count = session_totals.failed_count + excluded.failed_count,
    root_failed_count = session_totals.root_failed_count + excluded.root_failed_count,
    root_cancelled_count = session_totals.root_cancelled_count + excluded.root_cancelled_count

-- old_leases --
-- Leases that no agent points to.
SELECT leases.* FROM leases
WHERE leases.id::TEXT > :after AND leases.heartbeat_at < :until AND (leases.released_at IS NULL OR leases.released_at < :until)
  AND NOT EXISTS (SELECT 1 FROM agents WHERE agents.lease_id = leases.id)
ORDER BY leases.id::TEXT LIMIT :limit
