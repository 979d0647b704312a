-- page --
-- Answered prompts whose cost nobody has reported, in the order of time, from behind one.
SELECT prompts.id, prompts.status, prompts.model_used, prompts.tokens_input, prompts.tokens_output, prompts.tokens_cache_read,
    prompts.tokens_cache_write, prompts.tokens_cache_write_1h, prompts.cost_usd, prompts.cost_source, prompts.cost_basis,
    prompts.created_at
FROM prompts
WHERE (prompts.created_at, prompts.id) > (:after_at, :after) AND prompts.status = 'completed'
  AND (prompts.cost_source = 'priced' OR prompts.cost_source = 'unknown'
       OR (prompts.cost_source IS NULL AND prompts.cost_usd IS NULL))
ORDER BY prompts.created_at, prompts.id LIMIT :limit

-- page_of_session --
-- The same of one session. SQLite takes the tables of a CROSS JOIN in their order.
SELECT prompts.id, prompts.status, prompts.model_used, prompts.tokens_input, prompts.tokens_output, prompts.tokens_cache_read,
    prompts.tokens_cache_write, prompts.tokens_cache_write_1h, prompts.cost_usd, prompts.cost_source, prompts.cost_basis,
    prompts.created_at
FROM agents CROSS JOIN prompts
WHERE agents.session_id = :session_id AND prompts.agent_id = agents.id
  AND (prompts.created_at > :after_at OR (prompts.created_at = :after_at AND prompts.id > :after))
  AND COALESCE(prompts.status, '') = 'completed'
  AND (prompts.cost_source = 'priced' OR prompts.cost_source = 'unknown'
       OR (prompts.cost_source IS NULL AND prompts.cost_usd IS NULL))
ORDER BY prompts.created_at, prompts.id LIMIT :limit

-- change --
-- The new cost of a prompt, unless somebody has changed what it follows from since it was read.
UPDATE prompts SET cost_usd = priced.column2, cost_source = priced.column3, cost_basis = priced.column4
FROM (VALUES (:id, :cost_usd, :cost_source, :cost_basis, :old_cost_usd, :old_source, :model_used, :tokens_input,
              :tokens_output)) AS priced
WHERE prompts.id = priced.column1 AND prompts.status = 'completed'
  AND COALESCE(prompts.cost_usd, -1) = COALESCE(priced.column5, -1)
  AND COALESCE(prompts.cost_source, '') = COALESCE(priced.column6, '')
  AND COALESCE(prompts.model_used, '') = COALESCE(priced.column7, '')
  AND COALESCE(prompts.tokens_input, -1) = COALESCE(priced.column8, -1)
  AND COALESCE(prompts.tokens_output, -1) = COALESCE(priced.column9, -1)
