-- by_session --
-- By the day on which the session began. Only of the dearest all totals are added up; which ones these are, floats say fast.
WITH dearest AS (
    SELECT session_totals.session_id FROM session_totals JOIN session_starts ON session_starts.session_id = session_totals.session_id
    WHERE session_starts.started_at >= :since::TIMESTAMPTZ AND session_starts.started_at < :until::TIMESTAMPTZ
    GROUP BY session_totals.session_id HAVING SUM(prompt_count::FLOAT8) > 0
    ORDER BY ROUND(SUM(cost_usd::FLOAT8) * 1e8::FLOAT8) DESC, session_totals.session_id LIMIT :limit
)
SELECT session_id AS "group", prompt_count, prompt_failed_count, priced_count, unpriced_count, tokens_input, tokens_output,
    tokens_cache_read, tokens_cache_write, CASE WHEN priced_count > 0 THEN cost_usd END AS cost_usd
FROM sessions WHERE sessions.session_id IN (SELECT dearest.session_id FROM dearest)
ORDER BY sessions.cost_usd DESC, sessions.session_id

-- by_session_ever --
-- The same of all sessions, without a look at when they began.
WITH dearest AS (
    SELECT session_totals.session_id FROM session_totals
    GROUP BY session_totals.session_id HAVING SUM(prompt_count::FLOAT8) > 0
    ORDER BY ROUND(SUM(cost_usd::FLOAT8) * 1e8::FLOAT8) DESC, session_totals.session_id LIMIT :limit
)
SELECT session_id AS "group", prompt_count, prompt_failed_count, priced_count, unpriced_count, tokens_input, tokens_output,
    tokens_cache_read, tokens_cache_write, CASE WHEN priced_count > 0 THEN cost_usd END AS cost_usd
FROM sessions WHERE sessions.session_id IN (SELECT dearest.session_id FROM dearest)
ORDER BY sessions.cost_usd DESC, sessions.session_id
