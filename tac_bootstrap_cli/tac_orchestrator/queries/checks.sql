-- agents --
-- Agents whose cost is not the sum of their prompts.
SELECT agents.id AS name, 'cost_usd is ' || COALESCE(CAST(agents.cost_usd AS TEXT), 'unknown')
    || ', its prompts have ' || COALESCE(CAST(ROUND(SUM(prompts.cost_usd), 8) AS TEXT), 'none') AS difference
FROM agents LEFT JOIN prompts ON prompts.agent_id = agents.id
GROUP BY agents.id
HAVING (agents.cost_usd IS NULL) <> (COUNT(prompts.cost_usd) = 0)
    OR ABS(COALESCE(agents.cost_usd, 0) - COALESCE(SUM(prompts.cost_usd), 0)) > 0.000000005
LIMIT :limit

-- sessions --
-- Sessions whose totals are not those of their rows. Those of which rows were removed have nothing to compare with.
SELECT session_id AS name, 'off by ' || SUM(agent_count) || ' agents (' || SUM(running_count) || ' running, '
    || SUM(failed_count) || ' failed, ' || SUM(root_failed_count) || ' failed and ' || SUM(root_cancelled_count)
    || ' cancelled roots), ' || SUM(prompt_count) || ' prompts (' || SUM(prompt_failed_count) || ' failed, '
    || SUM(priced_count) || ' priced, ' || SUM(unpriced_count) || ' unpriced), ' || SUM(tokens_input) || ' + '
    || SUM(tokens_output) || ' tokens (' || SUM(tokens_cache_read) || ' + ' || SUM(tokens_cache_write) || ' cached), '
    || ROUND(SUM(cost_usd), 8) || ' dollars' AS difference
FROM (
    SELECT session_id, agent_count, running_count, failed_count, root_failed_count, root_cancelled_count, prompt_count,
        prompt_failed_count, priced_count, unpriced_count, tokens_input, tokens_output, tokens_cache_read, tokens_cache_write,
        cost_usd
    FROM sessions
    UNION ALL
    SELECT session_id, -agent_count, -running_count, -failed_count, -root_failed_count, -root_cancelled_count, 0, 0, 0, 0, 0, 0,
        0, 0, 0
    FROM agent_postings
    UNION ALL
    SELECT session_id, 0, 0, 0, 0, 0, -prompt_count, -prompt_failed_count, -priced_count, -unpriced_count, -tokens_input,
        -tokens_output, -tokens_cache_read, -tokens_cache_write, -cost_usd
    FROM prompt_postings
) AS compared
WHERE session_id NOT IN (SELECT session_id FROM sessions WHERE pruned_at IS NOT NULL)
GROUP BY session_id
HAVING SUM(agent_count) <> 0 OR SUM(running_count) <> 0 OR SUM(failed_count) <> 0 OR SUM(root_failed_count) <> 0
    OR SUM(root_cancelled_count) <> 0 OR SUM(prompt_count) <> 0 OR SUM(prompt_failed_count) <> 0 OR SUM(priced_count) <> 0
    OR SUM(unpriced_count) <> 0 OR SUM(tokens_input) <> 0 OR SUM(tokens_output) <> 0 OR SUM(tokens_cache_read) <> 0
    OR SUM(tokens_cache_write) <> 0 OR ABS(SUM(cost_usd)) > 0.000000005
LIMIT :limit

-- daily_usage --
-- Days whose totals are not those of the prompts that are there.
SELECT day || ' ' || orchestrator_agent_id || ' ' || model AS name, 'off by ' || SUM(prompt_count) || ' prompts ('
    || SUM(prompt_failed_count) || ' failed, ' || SUM(priced_count) || ' priced, ' || SUM(unpriced_count) || ' unpriced), '
    || SUM(tokens_input) || ' + ' || SUM(tokens_output) || ' tokens (' || SUM(tokens_cache_read) || ' + '
    || SUM(tokens_cache_write) || ' cached), ' || ROUND(SUM(cost_usd), 8) || ' dollars' AS difference
FROM (
    SELECT day, orchestrator_agent_id, model, prompt_count, prompt_failed_count, priced_count, unpriced_count, tokens_input,
        tokens_output, tokens_cache_read, tokens_cache_write, cost_usd
    FROM daily_usage WHERE pruned = 0
    UNION ALL
    SELECT date(created_at), orchestrator_agent_id, model, -prompt_count, -prompt_failed_count, -priced_count, -unpriced_count,
        -tokens_input, -tokens_output, -tokens_cache_read, -tokens_cache_write, -cost_usd
    FROM prompt_postings
) AS compared
GROUP BY day, orchestrator_agent_id, model
HAVING SUM(prompt_count) <> 0 OR SUM(prompt_failed_count) <> 0 OR SUM(priced_count) <> 0 OR SUM(unpriced_count) <> 0
    OR SUM(tokens_input) <> 0 OR SUM(tokens_output) <> 0 OR SUM(tokens_cache_read) <> 0 OR SUM(tokens_cache_write) <> 0
    OR ABS(SUM(cost_usd)) > 0.000000005
LIMIT :limit

-- log_counts --
-- Logs that were counted otherwise than they are there.
SELECT entity || 's' AS name, log_count || ' are counted, ' || present || ' are there' AS difference
FROM (
    SELECT entity, log_count, CASE entity
        WHEN 'agent_log' THEN (SELECT COUNT(*) FROM agent_logs WHERE id <= position)
        ELSE (SELECT COUNT(*) FROM system_logs WHERE id <= position) END AS present
    FROM log_counts
) AS compared
WHERE log_count <> present LIMIT :limit

-- search --
-- Search indexes that do not have just the rows that they claim to have.
SELECT entity AS name, indexed || ' rows are indexed, ' || claimed || ' should be' AS difference
FROM (
    SELECT 'prompts' AS entity, (SELECT COUNT(*) FROM prompt_search_docsize) AS indexed,
        (SELECT COUNT(*) FROM prompt_documents
         WHERE document_id <= (SELECT position FROM search_progress WHERE entity = 'prompt_document')) AS claimed
    UNION ALL
    SELECT 'agent_logs', (SELECT COUNT(*) FROM agent_log_search_docsize),
        (SELECT COUNT(*) FROM agent_logs WHERE id <= (SELECT position FROM search_progress WHERE entity = 'agent_log'))
    UNION ALL
    SELECT 'system_logs', (SELECT COUNT(*) FROM system_log_search_docsize),
        (SELECT COUNT(*) FROM system_logs WHERE id <= (SELECT position FROM search_progress WHERE entity = 'system_log'))
) AS counted
WHERE indexed <> claimed LIMIT :limit
