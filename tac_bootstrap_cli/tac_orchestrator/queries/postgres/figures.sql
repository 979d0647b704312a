-- holdings --
-- How many rows of each kind there are, and how many agents run. A prompt that has ended, or has a cost, is counted for its day.
SELECT
    (SELECT COUNT(*) FROM session_starts) AS session_count,
    (SELECT COUNT(*) FROM session_starts WHERE started_at >= :since) AS sessions_today,
    (SELECT COUNT(*) FROM agents) AS agent_count,
    (SELECT COUNT(*) FROM agents WHERE status IN ('initializing', 'planning', 'executing', 'reviewing')) AS running_count,
    (SELECT COALESCE(SUM(prompt_count), 0) FROM daily_totals WHERE pruned = 0)
        + (SELECT COUNT(*) FROM prompts WHERE status IN ('pending', 'streaming') AND cost_usd IS NULL) AS prompt_count
