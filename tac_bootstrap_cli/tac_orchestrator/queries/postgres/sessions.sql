-- list.status --
-- Which sessions have a state is reckoned from their totals. Those that cannot have it are left out before that.
sessions.status = :status AND sessions.session_id IN (
    SELECT session_totals.session_id FROM session_totals
    WHERE CASE :status WHEN 'running' THEN running_count <> 0 WHEN 'failed' THEN root_failed_count <> 0
                       ELSE root_cancelled_count <> 0 END
)

-- list.status.common --
sessions.status = :status

-- totals --
-- How much there is, from what is counted for each session anyway. A prompt is counted there when it has ended, or has a cost.
SELECT (SELECT COUNT(*) FROM session_starts) AS session_count, COALESCE(SUM(agent_count), 0) AS agent_count,
    COALESCE(SUM(running_count), 0) AS running_count, COALESCE(SUM(prompt_count), 0)
        + (SELECT COUNT(*) FROM prompts WHERE (status = 'pending' OR status = 'streaming') AND cost_usd IS NULL) AS prompt_count
FROM session_totals
