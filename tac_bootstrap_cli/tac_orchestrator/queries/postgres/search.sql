-- progress --
-- How many rows wait to be put into each index.
SELECT entities.entity, 0 AS position, NULL AS marker, NULL AS marked,
    (SELECT COALESCE(SUM(cardinality(row_ids)), 0)::BIGINT FROM search_backlog WHERE search_backlog.entity = entities.entity) AS last
FROM (VALUES ('prompt'), ('agent_log'), ('system_log')) AS entities (entity)

-- rewind --

-- number_prompts --

-- advance --

-- advance_documents --

-- index_prompt --
-- The oldest that wait, about as many as a step has; whoever does the same at the same time waits, and finds the next. No phrase
-- begins in the first text and ends in the second: a word is between them.
WITH waiting AS (
    SELECT id, SUM(cardinality(row_ids)) OVER (ORDER BY id) - cardinality(row_ids) AS before FROM (
        SELECT id, row_ids FROM search_backlog WHERE entity = 'prompt' ORDER BY id LIMIT 500) AS oldest
), taken AS (
    DELETE FROM search_backlog WHERE id IN (SELECT id FROM waiting WHERE before < 500) RETURNING row_ids
)
INSERT INTO prompt_search (id, created_at, words)
SELECT prompts.id, prompts.created_at,
    ts_delete(searchable(prompts.prompt_text || ' endofthefirst ' || COALESCE(prompts.response_text, '')), 'endofthefirst')
FROM (SELECT DISTINCT unnest(row_ids)::UUID AS id FROM taken) AS wanted JOIN prompts ON prompts.id = wanted.id
ORDER BY prompts.id
ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at, words = excluded.words

-- index_{entity}: agent_log, system_log --
WITH waiting AS (
    SELECT id, SUM(cardinality(row_ids)) OVER (ORDER BY id) - cardinality(row_ids) AS before FROM (
        SELECT id, row_ids FROM search_backlog WHERE entity = '{entity}' ORDER BY id LIMIT 5000) AS oldest
), taken AS (
    DELETE FROM search_backlog WHERE id IN (SELECT id FROM waiting WHERE before < 5000) RETURNING row_ids
)
INSERT INTO {entity}_search (id, created_at, words)
SELECT {entity}s.id, {entity}s.created_at,
    ts_delete(searchable({entity}s.message || ' endofthefirst ' || COALESCE({entity}s.details::TEXT, '')), 'endofthefirst')
FROM (SELECT DISTINCT unnest(row_ids)::BIGINT AS id FROM taken) AS wanted JOIN {entity}s ON {entity}s.id = wanted.id
ORDER BY {entity}s.id
ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at, words = excluded.words

-- words_{entity}: prompt, agent_log, system_log --
-- A beginning is looked for like a word.

-- find_prompt --
-- First among the newest, where common words are; only what is not there often enough is looked up in the index of words. Left to
-- itself, the planner goes through everything for a word that it does not know. The sum keeps it from the order of time.
SELECT 'prompt' AS entity, prompts.id::TEXT AS id, prompts.agent_id, agents.session_id, prompts.created_at,
    excerpt(prompts.prompt_text, prompts.response_text, to_tsquery('pg_catalog.simple', :words)) AS excerpt
FROM (
    WITH newest AS MATERIALIZED (
        SELECT latest.id, latest.created_at FROM (
            SELECT id, created_at, words FROM prompt_search ORDER BY created_at DESC LIMIT 5000
        ) AS latest
        WHERE latest.words @@ to_tsquery('pg_catalog.simple', :words) ORDER BY latest.created_at DESC LIMIT :limit
    ), everywhere AS MATERIALIZED (
        SELECT id FROM prompt_search
        WHERE (SELECT COUNT(*) FROM newest) < :limit AND words @@ to_tsquery('pg_catalog.simple', :words)
        ORDER BY created_at + INTERVAL '0' DESC LIMIT :limit
    )
    SELECT id FROM newest WHERE (SELECT COUNT(*) FROM newest) = :limit
    UNION ALL SELECT id FROM everywhere
) AS found
JOIN prompts ON prompts.id = found.id
JOIN agents ON agents.id = prompts.agent_id

-- find_agent_log --
SELECT 'agent_log' AS entity, agent_logs.id::TEXT AS id, agent_logs.agent_id, agents.session_id, agent_logs.created_at,
    excerpt(agent_logs.message, agent_logs.details::TEXT, to_tsquery('pg_catalog.simple', :words)) AS excerpt
FROM (
    WITH newest AS MATERIALIZED (
        SELECT latest.id, latest.created_at FROM (
            SELECT id, created_at, words FROM agent_log_search ORDER BY created_at DESC LIMIT 20000
        ) AS latest
        WHERE latest.words @@ to_tsquery('pg_catalog.simple', :words) ORDER BY latest.created_at DESC LIMIT :limit
    ), everywhere AS MATERIALIZED (
        SELECT id FROM agent_log_search
        WHERE (SELECT COUNT(*) FROM newest) < :limit AND words @@ to_tsquery('pg_catalog.simple', :words)
        ORDER BY created_at + INTERVAL '0' DESC LIMIT :limit
    )
    SELECT id FROM newest WHERE (SELECT COUNT(*) FROM newest) = :limit
    UNION ALL SELECT id FROM everywhere
) AS found
JOIN agent_logs ON agent_logs.id = found.id
JOIN agents ON agents.id = agent_logs.agent_id

-- find_system_log --
SELECT 'system_log' AS entity, system_logs.id::TEXT AS id, NULL AS agent_id, NULL AS session_id, system_logs.created_at,
    excerpt(system_logs.message, system_logs.details::TEXT, to_tsquery('pg_catalog.simple', :words)) AS excerpt
FROM (
    WITH newest AS MATERIALIZED (
        SELECT latest.id, latest.created_at FROM (
            SELECT id, created_at, words FROM system_log_search ORDER BY created_at DESC LIMIT 20000
        ) AS latest
        WHERE latest.words @@ to_tsquery('pg_catalog.simple', :words) ORDER BY latest.created_at DESC LIMIT :limit
    ), everywhere AS MATERIALIZED (
        SELECT id FROM system_log_search
        WHERE (SELECT COUNT(*) FROM newest) < :limit AND words @@ to_tsquery('pg_catalog.simple', :words)
        ORDER BY created_at + INTERVAL '0' DESC LIMIT :limit
    )
    SELECT id FROM newest WHERE (SELECT COUNT(*) FROM newest) = :limit
    UNION ALL SELECT id FROM everywhere
) AS found
JOIN system_logs ON system_logs.id = found.id
