-- by_session --
-- By the day on which the session began.
SELECT session_id AS "group", prompt_count, prompt_failed_count, priced_count, unpriced_count, tokens_input, tokens_output,
    tokens_cache_read, tokens_cache_write, CASE WHEN priced_count > 0 THEN cost_usd END AS cost_usd
FROM sessions WHERE started_at >= :since::TIMESTAMPTZ AND started_at < :until::TIMESTAMPTZ AND prompt_count > 0
ORDER BY sessions.cost_usd DESC, session_id LIMIT :limit
