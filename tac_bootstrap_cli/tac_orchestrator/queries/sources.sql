-- files --
-- How these files were when they were read.
SELECT source_files.path, source_files.size, source_files.modified_ns
FROM (VALUES (:path)) AS wanted JOIN source_files ON source_files.path = wanted.column1

-- save_file --
INSERT INTO source_files (path, size, modified_ns, skipped_count, imported_at)
VALUES (:path, :size, :modified_ns, :skipped_count, :imported_at)
ON CONFLICT (path) DO UPDATE SET size = excluded.size, modified_ns = excluded.modified_ns,
    skipped_count = excluded.skipped_count, imported_at = excluded.imported_at

-- move_prompts --
-- An agent turned out to be another one, whose these are then.
UPDATE prompts SET agent_id = :new_id WHERE agent_id = :id

-- move_agent_logs --
UPDATE agent_logs SET agent_id = :new_id WHERE agent_id = :id

-- move_children --
UPDATE agents SET parent_agent_id = :new_id WHERE parent_agent_id = :id

-- drop_agent --
DELETE FROM agents WHERE id = :id
