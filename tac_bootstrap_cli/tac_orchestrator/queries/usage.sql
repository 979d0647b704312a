-- by_model --
-- '' is a model that no source has named.
SELECT model AS "group", SUM(prompt_count) AS prompt_count, SUM(prompt_failed_count) AS prompt_failed_count,
    SUM(priced_count) AS priced_count, SUM(unpriced_count) AS unpriced_count, SUM(tokens_input) AS tokens_input,
    SUM(tokens_output) AS tokens_output, SUM(tokens_cache_read) AS tokens_cache_read,
    SUM(tokens_cache_write) AS tokens_cache_write,
    CASE WHEN SUM(priced_count) > 0 THEN ROUND(SUM(cost_usd), 8) END AS cost_usd
FROM daily_usage WHERE day >= :since AND day < :until
GROUP BY model HAVING SUM(prompt_count) > 0 ORDER BY SUM(cost_usd) DESC, model LIMIT :limit

-- by_day --
SELECT day AS "group", SUM(prompt_count) AS prompt_count, SUM(prompt_failed_count) AS prompt_failed_count,
    SUM(priced_count) AS priced_count, SUM(unpriced_count) AS unpriced_count, SUM(tokens_input) AS tokens_input,
    SUM(tokens_output) AS tokens_output, SUM(tokens_cache_read) AS tokens_cache_read,
    SUM(tokens_cache_write) AS tokens_cache_write,
    CASE WHEN SUM(priced_count) > 0 THEN ROUND(SUM(cost_usd), 8) END AS cost_usd
FROM daily_usage WHERE day >= :since AND day < :until
GROUP BY day HAVING SUM(prompt_count) > 0 ORDER BY day DESC LIMIT :limit

-- daily --
-- Every model of every day, the newest day first, its dearest model first.
SELECT day, model AS "group", SUM(prompt_count) AS prompt_count, SUM(prompt_failed_count) AS prompt_failed_count,
    SUM(priced_count) AS priced_count, SUM(unpriced_count) AS unpriced_count, SUM(tokens_input) AS tokens_input,
    SUM(tokens_output) AS tokens_output, SUM(tokens_cache_read) AS tokens_cache_read,
    SUM(tokens_cache_write) AS tokens_cache_write,
    CASE WHEN SUM(priced_count) > 0 THEN ROUND(SUM(cost_usd), 8) END AS cost_usd
FROM daily_usage WHERE day >= :since AND day < :until
GROUP BY day, model HAVING SUM(prompt_count) > 0 ORDER BY day DESC, SUM(cost_usd) DESC, model LIMIT :limit

-- by_agent_type --
-- A kind of agent that was deleted leaves only what retention kept of it.
SELECT COALESCE(orchestrator_agents.agent_type, 'deleted') AS "group", SUM(prompt_count) AS prompt_count,
    SUM(prompt_failed_count) AS prompt_failed_count, SUM(priced_count) AS priced_count,
    SUM(unpriced_count) AS unpriced_count, SUM(tokens_input) AS tokens_input, SUM(tokens_output) AS tokens_output,
    SUM(tokens_cache_read) AS tokens_cache_read, SUM(tokens_cache_write) AS tokens_cache_write,
    CASE WHEN SUM(priced_count) > 0 THEN ROUND(SUM(cost_usd), 8) END AS cost_usd
FROM daily_usage LEFT JOIN orchestrator_agents ON orchestrator_agents.id = daily_usage.orchestrator_agent_id
WHERE day >= :since AND day < :until
GROUP BY 1 HAVING SUM(prompt_count) > 0 ORDER BY SUM(cost_usd) DESC, 1 LIMIT :limit

-- by_session --
-- By the day on which the session began.
SELECT session_id AS "group", prompt_count, prompt_failed_count, priced_count, unpriced_count, tokens_input, tokens_output,
    tokens_cache_read, tokens_cache_write, CASE WHEN priced_count > 0 THEN cost_usd END AS cost_usd
FROM sessions WHERE started_at >= :since AND started_at < :until AND prompt_count > 0
ORDER BY sessions.cost_usd DESC, session_id LIMIT :limit

-- by_session_ever --
-- The same of all sessions, whenever they began.
SELECT session_id AS "group", prompt_count, prompt_failed_count, priced_count, unpriced_count, tokens_input, tokens_output,
    tokens_cache_read, tokens_cache_write, CASE WHEN priced_count > 0 THEN cost_usd END AS cost_usd
FROM sessions WHERE prompt_count > 0 ORDER BY sessions.cost_usd DESC, session_id LIMIT :limit
