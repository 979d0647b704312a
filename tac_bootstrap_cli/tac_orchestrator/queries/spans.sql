-- of_traces --
-- All that is known of some traces.
SELECT spans.trace_id, spans.span_id, spans.parent_span_id, spans.details
FROM (VALUES (:trace_id)) AS wanted JOIN spans ON spans.trace_id = wanted.column1

-- sizes --
-- How many records there are of some traces.
SELECT spans.trace_id, COUNT(*) AS span_count
FROM (VALUES (:trace_id)) AS wanted JOIN spans ON spans.trace_id = wanted.column1
GROUP BY spans.trace_id

-- traces_of --
-- The traces that tell of the same answers.
SELECT DISTINCT spans.response_id, spans.trace_id
FROM (VALUES (:response_id)) AS wanted JOIN spans ON spans.response_id = wanted.column1

-- common --
-- Answers of which more records tell than of one that was really given: a name that everything has tells nothing apart.
SELECT wanted.column1 AS response_id FROM (VALUES (:response_id)) AS wanted
WHERE EXISTS (SELECT 1 FROM spans WHERE spans.response_id = wanted.column1 LIMIT 1 OFFSET 32)

-- is_all_of_trace --
-- Finds something only if nobody has added to the trace meanwhile.
SELECT 1 AS is_all FROM (VALUES (CAST(:trace_id AS TEXT), CAST(:span_count AS INTEGER))) AS told
WHERE (SELECT COUNT(*) FROM spans WHERE trace_id = told.column1) = told.column2

-- is_all_of_answer --
SELECT 1 AS is_all FROM (VALUES (CAST(:response_id AS TEXT), CAST(:span_count AS INTEGER))) AS told
WHERE (SELECT COUNT(*) FROM spans WHERE response_id = told.column1) = told.column2

-- turns --
-- Who has written to some sessions last.
SELECT spans.trace_id, spans.span_id AS turn, spans.parent_span_id AS taken_by
FROM (VALUES (:trace_id)) AS wanted JOIN spans ON spans.trace_id = wanted.column1

-- take_turn --
-- Finds nothing to do if somebody has written since.
INSERT INTO spans (trace_id, span_id, parent_span_id, details, received_at)
VALUES (:trace_id, 'turn', :parent_span_id, '{}', :received_at)
ON CONFLICT (trace_id, span_id) DO UPDATE SET parent_span_id = excluded.parent_span_id, received_at = excluded.received_at
WHERE spans.parent_span_id = :taken_by

-- save --
INSERT INTO spans (trace_id, span_id, parent_span_id, response_id, details, received_at)
VALUES (:trace_id, :span_id, :parent_span_id, :response_id, :details, :received_at)
ON CONFLICT (trace_id, span_id) DO UPDATE SET
    parent_span_id = excluded.parent_span_id, response_id = excluded.response_id, details = excluded.details

-- drop_agent --
DELETE FROM agents WHERE id = :id

-- drop_prompt --
DELETE FROM prompts WHERE id = :id

-- drop_agent_log --
DELETE FROM agent_logs WHERE source_key = :source_key

-- drop_system_log --
DELETE FROM system_logs WHERE source_key = :source_key
