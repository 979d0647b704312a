-- orchestrator_agent --
SELECT orchestrator_agents.*, NULL AS session_id, NULL AS agent_id
FROM (VALUES (:id)) AS wanted JOIN orchestrator_agents ON orchestrator_agents.id = wanted.column1

-- agent --
SELECT agents.*, orchestrator_agents.name, orchestrator_agents.agent_type, agents.id AS agent_id
FROM (VALUES (:id)) AS wanted
JOIN agents ON agents.id = wanted.column1
JOIN orchestrator_agents ON orchestrator_agents.id = agents.orchestrator_agent_id

-- prompt --
-- With the beginnings of its texts, which may be long.
SELECT prompts.id, prompts.agent_id, prompts.prompt_type, prompts.prompt_name, substr(prompts.prompt_text, 1, 300) AS prompt_text,
    substr(prompts.response_text, 1, 300) AS response_text, prompts.status, prompts.model_used, prompts.tokens_input,
    prompts.tokens_output, prompts.tokens_cache_read, prompts.tokens_cache_write, prompts.tokens_cache_write_1h, prompts.cost_usd,
    prompts.cost_source, prompts.cost_basis, prompts.latency_ms, prompts.created_at, prompts.completed_at, prompts.error_message,
    NULL AS details, agents.session_id
FROM (VALUES (:id)) AS wanted
JOIN prompts ON prompts.id = wanted.column1
JOIN agents ON agents.id = prompts.agent_id

-- agent_log --
SELECT agent_logs.*, agents.session_id
FROM (VALUES (:id)) AS wanted
JOIN agent_logs ON agent_logs.id = CAST(wanted.column1 AS INTEGER)
JOIN agents ON agents.id = agent_logs.agent_id

-- system_log --
SELECT system_logs.*, NULL AS session_id, NULL AS agent_id
FROM (VALUES (:id)) AS wanted JOIN system_logs ON system_logs.id = CAST(wanted.column1 AS INTEGER)
