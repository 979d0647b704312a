-- progress --
-- How far each index is, and how far it could be.
SELECT search_progress.entity, search_progress.position, search_progress.marker,
    CASE search_progress.entity
        WHEN 'prompt' THEN (SELECT MAX(rowid) FROM prompts)
        WHEN 'agent_log' THEN (SELECT MAX(id) FROM agent_logs)
        WHEN 'system_log' THEN (SELECT MAX(id) FROM system_logs)
    END AS last,
    CASE search_progress.entity
        WHEN 'prompt' THEN (SELECT prompts.id FROM prompts WHERE prompts.rowid = search_progress.position)
    END AS marked
FROM search_progress

-- rewind --
-- The rows have been numbered anew: look at all of them again.
UPDATE search_progress SET position = 0, marker = NULL WHERE entity = :entity

-- number_prompts --
-- A number for each prompt that has none.
INSERT INTO prompt_documents (prompt_id)
SELECT prompts.id FROM prompts
WHERE prompts.rowid > (SELECT position FROM search_progress WHERE entity = 'prompt') AND prompts.rowid <= :last
ORDER BY prompts.rowid
ON CONFLICT (prompt_id) DO NOTHING

-- index_prompt --
INSERT INTO prompt_search (rowid, prompt_text, response_text)
SELECT document_id, prompt_text, response_text FROM prompt_texts
WHERE document_id > (SELECT position FROM search_progress WHERE entity = 'prompt_document')

-- index_{entity}: agent_log, system_log --
INSERT INTO {entity}_search (rowid, message, details)
SELECT id, message, details FROM {entity}s
WHERE id > (SELECT position FROM search_progress WHERE entity = '{entity}') AND id <= :last

-- advance --
UPDATE search_progress SET position = :last, marker = (SELECT prompts.id FROM prompts WHERE prompts.rowid = :last)
WHERE entity = :entity AND position < :last

-- advance_documents --
UPDATE search_progress SET position = COALESCE((SELECT MAX(document_id) FROM prompt_documents), position)
WHERE entity = 'prompt_document'

-- words_{entity}: prompt, agent_log, system_log --
-- The first words of the index that begin so. Each is looked up behind the one before it: to go from one to the next would be to
-- go through all places where it stands.
WITH RECURSIVE words (word) AS (
    SELECT * FROM (
        SELECT term FROM {entity}_search_words WHERE term >= :first AND term < :last ORDER BY term LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT term FROM {entity}_search_words WHERE term >= words.word || char(1) AND term < :last ORDER BY term LIMIT 1
    ) FROM words WHERE words.word IS NOT NULL LIMIT :limit
)
SELECT word FROM words WHERE word IS NOT NULL

-- find_prompt --
-- To find the best piece of a text takes SQLite the square of how often it has the words, and nothing interrupts that: of a long
-- one, what is around the first of them is told.
SELECT 'prompt' AS entity, prompts.id, prompts.agent_id, agents.session_id, prompts.created_at,
    COALESCE(piece, '…' || substr(marked, max(instr(marked, '⟦') - 40, 1), 160) || '…') AS excerpt
FROM (
    SELECT rowid AS document_id,
        CASE WHEN length(prompt_text) + COALESCE(length(response_text), 0) <= 4000
            THEN snippet(prompt_search, -1, '⟦', '⟧', '…', 16) END AS piece,
        CASE WHEN length(prompt_text) + COALESCE(length(response_text), 0) > 4000
            THEN highlight(prompt_search, 0, '⟦', '⟧') || '…' || COALESCE(highlight(prompt_search, 1, '⟦', '⟧'), '') END AS marked
    FROM prompt_search WHERE prompt_search MATCH :words ORDER BY rowid DESC LIMIT :limit
) AS found
JOIN prompt_documents ON prompt_documents.document_id = found.document_id
JOIN prompts ON prompts.id = prompt_documents.prompt_id
JOIN agents ON agents.id = prompts.agent_id

-- find_agent_log --
SELECT 'agent_log' AS entity, CAST(agent_logs.id AS TEXT) AS id, agent_logs.agent_id, agents.session_id,
    agent_logs.created_at, COALESCE(piece, '…' || substr(marked, max(instr(marked, '⟦') - 40, 1), 160) || '…') AS excerpt
FROM (
    SELECT rowid AS id,
        CASE WHEN length(message) + COALESCE(length(details), 0) <= 4000
            THEN snippet(agent_log_search, -1, '⟦', '⟧', '…', 16) END AS piece,
        CASE WHEN length(message) + COALESCE(length(details), 0) > 4000
            THEN highlight(agent_log_search, 0, '⟦', '⟧') || '…' || COALESCE(highlight(agent_log_search, 1, '⟦', '⟧'), '') END AS marked
    FROM agent_log_search WHERE agent_log_search MATCH :words ORDER BY rowid DESC LIMIT :limit
) AS found
JOIN agent_logs ON agent_logs.id = found.id
JOIN agents ON agents.id = agent_logs.agent_id

-- find_system_log --
SELECT 'system_log' AS entity, CAST(system_logs.id AS TEXT) AS id, NULL AS agent_id, NULL AS session_id,
    system_logs.created_at, COALESCE(piece, '…' || substr(marked, max(instr(marked, '⟦') - 40, 1), 160) || '…') AS excerpt
FROM (
    SELECT rowid AS id,
        CASE WHEN length(message) + COALESCE(length(details), 0) <= 4000
            THEN snippet(system_log_search, -1, '⟦', '⟧', '…', 16) END AS piece,
        CASE WHEN length(message) + COALESCE(length(details), 0) > 4000
            THEN highlight(system_log_search, 0, '⟦', '⟧') || '…' || COALESCE(highlight(system_log_search, 1, '⟦', '⟧'), '') END AS marked
    FROM system_log_search WHERE system_log_search MATCH :words ORDER BY rowid DESC LIMIT :limit
) AS found
JOIN system_logs ON system_logs.id = found.id
