-- create --
-- A request to a model, with its answer if there is one already.
INSERT INTO prompts (id, agent_id, prompt_type, prompt_name, prompt_text, response_text, status, model_used, tokens_input,
                     tokens_output, tokens_cache_read, tokens_cache_write, tokens_cache_write_1h, cost_usd, cost_source,
                     cost_basis, latency_ms, created_at, completed_at, error_message, details)
VALUES (:id, :agent_id, :prompt_type, :prompt_name, :prompt_text, :response_text, :status, :model_used, :tokens_input,
        :tokens_output, :tokens_cache_read, :tokens_cache_write, :tokens_cache_write_1h, :cost_usd, :cost_source,
        :cost_basis, :latency_ms, :created_at, :completed_at, :error_message, :details)

-- request --
-- One that has no answer yet: half of the values of most prompts come with the answer.
INSERT INTO prompts (id, agent_id, prompt_type, prompt_name, prompt_text, status, model_used, created_at)
VALUES (:id, :agent_id, :prompt_type, :prompt_name, :prompt_text, :status, :model_used, :created_at)

-- get --
SELECT prompts.* FROM prompts WHERE id = :id

-- list --
-- Prompts, the newest first.
SELECT prompts.* FROM prompts WHERE {filters} ORDER BY prompts.created_at DESC, prompts.id DESC LIMIT :limit

-- list.agent_id --
{also}prompts.agent_id = :agent_id

-- list.of_session --
-- Prompts of all agents of a session, the newest first. Each agent gives its newest, however many it has.
SELECT requests.* FROM agents CROSS JOIN prompts AS requests
WHERE agents.session_id = :session_id AND requests.id IN (
    SELECT prompts.id FROM prompts WHERE prompts.agent_id = agents.id AND {more_filters}
    ORDER BY prompts.created_at DESC, prompts.id DESC LIMIT :limit
)
ORDER BY requests.created_at DESC, requests.id DESC LIMIT :limit

-- list.brief --
-- The same with the beginnings of their texts, which may be long, and without details.
SELECT prompts.id, prompts.agent_id, prompts.prompt_type, prompts.prompt_name, substr(prompts.prompt_text, 1, 300) AS prompt_text,
    substr(prompts.response_text, 1, 300) AS response_text, prompts.status, prompts.model_used, prompts.tokens_input,
    prompts.tokens_output, prompts.tokens_cache_read, prompts.tokens_cache_write, prompts.tokens_cache_write_1h, prompts.cost_usd,
    prompts.cost_source, prompts.cost_basis, prompts.latency_ms, prompts.created_at, prompts.completed_at, prompts.error_message,
    NULL AS details
FROM prompts WHERE {filters} ORDER BY prompts.created_at DESC, prompts.id DESC LIMIT :limit

-- list.of_session.brief --
SELECT requests.id, requests.agent_id, requests.prompt_type, requests.prompt_name, substr(requests.prompt_text, 1, 300) AS prompt_text,
    substr(requests.response_text, 1, 300) AS response_text, requests.status, requests.model_used, requests.tokens_input,
    requests.tokens_output, requests.tokens_cache_read, requests.tokens_cache_write, requests.tokens_cache_write_1h, requests.cost_usd,
    requests.cost_source, requests.cost_basis, requests.latency_ms, requests.created_at, requests.completed_at, requests.error_message,
    NULL AS details
FROM agents CROSS JOIN prompts AS requests
WHERE agents.session_id = :session_id AND requests.id IN (
    SELECT prompts.id FROM prompts WHERE prompts.agent_id = agents.id AND {more_filters}
    ORDER BY prompts.created_at DESC, prompts.id DESC LIMIT :limit
)
ORDER BY requests.created_at DESC, requests.id DESC LIMIT :limit

-- list.session_id --
-- Of an agent that is named: whether it is one of the session.
EXISTS (SELECT 1 FROM agents WHERE agents.id = :agent_id AND agents.session_id = :session_id)

-- list.status --
{also}prompts.status = :status

-- list.prompt_type --
{also}prompts.prompt_type = :prompt_type
    AND prompts.prompt_type <> 'adw' AND prompts.prompt_type <> 'followup' AND prompts.prompt_type <> 'tool_call'

-- list.prompt_type.common --
+prompts.prompt_type = :prompt_type

-- list.model_used --
{also}prompts.model_used = :model_used

-- list.prompt_type.status --
{also}prompts.prompt_type = :prompt_type AND {also}prompts.status = :status
    AND prompts.prompt_type <> 'adw' AND prompts.prompt_type <> 'followup' AND prompts.prompt_type <> 'tool_call'

-- list.prompt_type.model_used --
{also}prompts.prompt_type = :prompt_type AND {also}prompts.model_used = :model_used
    AND prompts.prompt_type <> 'adw' AND prompts.prompt_type <> 'followup' AND prompts.prompt_type <> 'tool_call'

-- list.status.model_used --
{also}prompts.status = :status AND {also}prompts.model_used = :model_used AND prompts.status <> 'completed'

-- list.since --
prompts.created_at >= :since

-- list.until --
prompts.created_at < :until

-- list.before --
(prompts.created_at, prompts.id)
    < (SELECT earlier.created_at, earlier.id FROM prompts AS earlier WHERE earlier.id = :before)

-- list.until.before --
-- Of two ends that the index may begin at, SQLite takes the first; a page begins at its own.
+prompts.created_at < :until AND (prompts.created_at, prompts.id)
    < (SELECT earlier.created_at, earlier.id FROM prompts AS earlier WHERE earlier.id = :before)

-- update --
UPDATE prompts SET {changes} WHERE id = :id

-- change_status --
-- Only a prompt that has not ended changes its state.
UPDATE prompts SET {changes} WHERE id = :id AND (status = 'pending' OR status = 'streaming')

-- answer --
-- The end of a request, whichever way it went. Many are written as one statement.
UPDATE prompts SET
    status = answers.column2,
    response_text = answers.column3,
    model_used = COALESCE(answers.column4, prompts.model_used),
    tokens_input = answers.column5,
    tokens_output = answers.column6,
    tokens_cache_read = answers.column7,
    tokens_cache_write = answers.column8,
    tokens_cache_write_1h = answers.column9,
    cost_usd = answers.column10,
    cost_source = answers.column11,
    cost_basis = answers.column12,
    latency_ms = answers.column13,
    completed_at = answers.column14,
    error_message = answers.column15,
    details = COALESCE(answers.column16, prompts.details)
FROM (VALUES (:id, :status, :response_text, :model_used, :tokens_input, :tokens_output, :tokens_cache_read,
              :tokens_cache_write, :tokens_cache_write_1h, :cost_usd, :cost_source, :cost_basis, :latency_ms, :completed_at,
              :error_message, :details)) AS answers
WHERE prompts.id = answers.column1 AND (prompts.status = 'pending' OR prompts.status = 'streaming')

-- delete --
DELETE FROM prompts WHERE id = :id

-- known --
-- Which of these are there already.
SELECT prompts.* FROM (VALUES (:id)) AS wanted JOIN prompts ON prompts.id = wanted.column1

-- save --
-- What a source says of a prompt, in full.
INSERT INTO prompts (id, agent_id, prompt_type, prompt_name, prompt_text, response_text, status, model_used, tokens_input,
                     tokens_output, tokens_cache_read, tokens_cache_write, tokens_cache_write_1h, cost_usd, cost_source,
                     cost_basis, latency_ms, created_at, completed_at, error_message, details)
VALUES (:id, :agent_id, :prompt_type, :prompt_name, :prompt_text, :response_text, :status, :model_used, :tokens_input,
        :tokens_output, :tokens_cache_read, :tokens_cache_write, :tokens_cache_write_1h, :cost_usd, :cost_source,
        :cost_basis, :latency_ms, :created_at, :completed_at, :error_message, :details)
ON CONFLICT (id) DO UPDATE SET
    agent_id = excluded.agent_id, prompt_type = excluded.prompt_type, prompt_name = excluded.prompt_name,
    prompt_text = excluded.prompt_text, response_text = excluded.response_text, status = excluded.status,
    model_used = excluded.model_used, tokens_input = excluded.tokens_input, tokens_output = excluded.tokens_output,
    tokens_cache_read = excluded.tokens_cache_read, tokens_cache_write = excluded.tokens_cache_write,
    tokens_cache_write_1h = excluded.tokens_cache_write_1h, cost_usd = excluded.cost_usd,
    cost_source = excluded.cost_source, cost_basis = excluded.cost_basis, latency_ms = excluded.latency_ms,
    created_at = excluded.created_at, completed_at = excluded.completed_at, error_message = excluded.error_message,
    details = excluded.details

-- matching --
-- Those whose id begins with what somebody typed.
SELECT id FROM prompts WHERE id >= :first AND id < :last ORDER BY id LIMIT :limit
