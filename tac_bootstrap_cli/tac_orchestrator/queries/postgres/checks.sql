-- daily_usage --
-- Days whose totals are not those of the prompts that are there.
SELECT day || ' ' || orchestrator_agent_id || ' ' || model AS name, 'off by ' || SUM(prompt_count) || ' prompts ('
    || SUM(prompt_failed_count) || ' failed, ' || SUM(priced_count) || ' priced, ' || SUM(unpriced_count) || ' unpriced), '
    || SUM(tokens_input) || ' + ' || SUM(tokens_output) || ' tokens (' || SUM(tokens_cache_read) || ' + '
    || SUM(tokens_cache_write) || ' cached), ' || SUM(cost_usd) || ' dollars' AS difference
FROM (
    SELECT day, orchestrator_agent_id, model, prompt_count, prompt_failed_count, priced_count, unpriced_count, tokens_input,
        tokens_output, tokens_cache_read, tokens_cache_write, cost_usd
    FROM daily_usage WHERE pruned = 0
    UNION ALL
    SELECT day, orchestrator_agent_id, model, -prompt_count, -prompt_failed_count, -priced_count, -unpriced_count,
        -tokens_input, -tokens_output, -tokens_cache_read, -tokens_cache_write, -cost_usd
    FROM prompt_postings
) AS compared
GROUP BY day, orchestrator_agent_id, model
HAVING SUM(prompt_count) <> 0 OR SUM(prompt_failed_count) <> 0 OR SUM(priced_count) <> 0 OR SUM(unpriced_count) <> 0
    OR SUM(tokens_input) <> 0 OR SUM(tokens_output) <> 0 OR SUM(tokens_cache_read) <> 0 OR SUM(tokens_cache_write) <> 0
    OR SUM(cost_usd) <> 0
LIMIT :limit

-- log_counts --
-- Logs that were counted otherwise than they are there.
SELECT entity || 's' AS name, log_count || ' are counted, ' || present || ' are there' AS difference
FROM (
    SELECT 'agent_log' AS entity, (SELECT COUNT(*) FROM agent_logs) AS present
    UNION ALL SELECT 'system_log', (SELECT COUNT(*) FROM system_logs)
) AS there CROSS JOIN LATERAL (
    SELECT COALESCE(SUM(log_count), 0) AS log_count FROM log_counts WHERE log_counts.entity = there.entity
) AS counted
WHERE log_count <> present LIMIT :limit

-- search --
-- Rows that are neither in the search index nor about to be put into it.
SELECT entity AS name, COUNT(*) || ' rows cannot be found' AS difference
FROM (
    SELECT 'prompt' AS entity, prompts.id::TEXT AS id FROM prompts LEFT JOIN prompt_search USING (id) WHERE prompt_search.id IS NULL
    UNION ALL
    SELECT 'agent_log', agent_logs.id::TEXT FROM agent_logs LEFT JOIN agent_log_search USING (id) WHERE agent_log_search.id IS NULL
    UNION ALL
    SELECT 'system_log', system_logs.id::TEXT FROM system_logs LEFT JOIN system_log_search USING (id)
    WHERE system_log_search.id IS NULL
) AS missing
WHERE NOT EXISTS (
    SELECT 1 FROM search_backlog WHERE search_backlog.entity = missing.entity AND missing.id = ANY (search_backlog.row_ids)
)
GROUP BY entity LIMIT :limit
