-- matching --
-- Those whose id begins with what somebody typed.
SELECT id FROM prompts
WHERE id BETWEEN rpad(replace(:first, '-', ''), 32, '0')::UUID AND rpad(replace(:first, '-', ''), 32, 'f')::UUID
ORDER BY id LIMIT :limit

-- list.prompt_type.also --
-- What lets an index be used makes the planner believe, where another is used, that there are few such rows.
prompts.prompt_type = :prompt_type

-- list.of_session --
-- Prompts of all agents of a session, the newest first. Each agent gives its newest, however many it has.
SELECT requests.* FROM agents CROSS JOIN LATERAL (
    SELECT prompts.* FROM prompts WHERE prompts.agent_id = agents.id AND {more_filters}
    ORDER BY prompts.created_at DESC, prompts.id DESC LIMIT :limit
) AS requests
WHERE agents.session_id = :session_id
ORDER BY requests.created_at DESC, requests.id DESC LIMIT :limit

-- list.of_session.brief --
SELECT requests.* FROM agents CROSS JOIN LATERAL (
    SELECT prompts.id, prompts.agent_id, prompts.prompt_type, prompts.prompt_name,
        substr(prompts.prompt_text, 1, 300) AS prompt_text, substr(prompts.response_text, 1, 300) AS response_text,
        prompts.status, prompts.model_used, prompts.tokens_input, prompts.tokens_output, prompts.tokens_cache_read,
        prompts.tokens_cache_write, prompts.tokens_cache_write_1h, prompts.cost_usd, prompts.cost_source, prompts.cost_basis,
        prompts.latency_ms, prompts.created_at, prompts.completed_at, prompts.error_message, NULL AS details
    FROM prompts WHERE prompts.agent_id = agents.id AND {more_filters}
    ORDER BY prompts.created_at DESC, prompts.id DESC LIMIT :limit
) AS requests
WHERE agents.session_id = :session_id
ORDER BY requests.created_at DESC, requests.id DESC LIMIT :limit
