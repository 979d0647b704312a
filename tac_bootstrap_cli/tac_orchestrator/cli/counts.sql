-- How many rows of each kind there are, and how many agents run.
SELECT
    (SELECT COUNT(*) FROM sessions) AS session_count,
    (SELECT COUNT(*) FROM sessions WHERE started_at >= :today) AS sessions_today,
    (SELECT COUNT(*) FROM agents) AS agent_count,
    (SELECT COUNT(*) FROM agents
     WHERE status = 'initializing' OR status = 'planning' OR status = 'executing' OR status = 'reviewing') AS running_count,
    (SELECT COUNT(*) FROM prompts) AS prompt_count,
    (SELECT COUNT(*) FROM agent_logs) AS agent_log_count,
    (SELECT COUNT(*) FROM system_logs) AS system_log_count
