-- create --
-- An event that belongs to no agent.
INSERT INTO system_logs (log_level, component, message, details, created_at, source_key)
VALUES (:log_level, :component, :message, :details, :created_at, :source_key)

-- create_if_unknown --
-- The same, for what names an agent that is not there.
INSERT INTO system_logs (log_level, component, message, details, created_at, source_key)
SELECT told.column1, told.column2, told.column3, told.column4, told.column5, told.column6
FROM (VALUES (:log_level, :component, :message, :details, :created_at, :source_key, :agent_id)) AS told
WHERE NOT EXISTS (SELECT 1 FROM agents WHERE agents.id = told.column7)

-- get --
SELECT system_logs.* FROM system_logs WHERE id = :id

-- list --
-- Logs of the system, the newest first.
SELECT system_logs.* FROM system_logs WHERE {filters} ORDER BY system_logs.created_at DESC, system_logs.id DESC LIMIT :limit

-- list.log_level --
{also}system_logs.log_level = :log_level

-- list.component --
{also}system_logs.component = :component

-- list.since --
system_logs.created_at >= :since

-- list.until --
system_logs.created_at < :until

-- list.before --
(system_logs.created_at, system_logs.id)
    < (SELECT earlier.created_at, earlier.id FROM system_logs AS earlier WHERE earlier.id = :before)

-- list.until.before --
-- Of two ends that the index may begin at, SQLite takes the first; a page begins at its own.
+system_logs.created_at < :until AND (system_logs.created_at, system_logs.id)
    < (SELECT earlier.created_at, earlier.id FROM system_logs AS earlier WHERE earlier.id = :before)

-- count --
-- How many there are: those that have been counted, and the rest.
SELECT log_count + (SELECT COUNT(*) FROM system_logs WHERE system_logs.id > log_counts.position) AS log_count
FROM log_counts WHERE entity = 'system_log'

-- uncounted --
-- Behind which position those begin that have not been counted, and how far they go.
SELECT position, COALESCE((SELECT MAX(id) FROM system_logs), 0) AS last FROM log_counts WHERE entity = 'system_log'

-- note_count --
UPDATE log_counts SET position = :last, log_count = log_count + (
    SELECT COUNT(*) FROM system_logs WHERE system_logs.id > log_counts.position AND system_logs.id <= :last
)
WHERE entity = 'system_log' AND position < :last

-- delete --
DELETE FROM system_logs WHERE id = :id

-- delete_older --
-- In pieces, so that no writer waits long.
DELETE FROM system_logs WHERE id IN (SELECT id FROM system_logs WHERE created_at < :until ORDER BY created_at LIMIT :limit)

-- known --
-- Which of these records have been made a log already.
SELECT system_logs.* FROM (VALUES (:source_key)) AS wanted JOIN system_logs ON system_logs.source_key = wanted.column1

-- save --
-- What a source says of an event, in full.
INSERT INTO system_logs (log_level, component, message, details, created_at, source_key)
VALUES (:log_level, :component, :message, :details, :created_at, :source_key)
ON CONFLICT (source_key) WHERE source_key IS NOT NULL DO UPDATE SET
    log_level = excluded.log_level, component = excluded.component, message = excluded.message, details = excluded.details,
    created_at = excluded.created_at
