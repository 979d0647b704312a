-- files --
-- How these files were when they were read.
SELECT source_files.path, source_files.size, source_files.modified_ns
FROM (VALUES (:path)) AS wanted JOIN source_files ON source_files.path = wanted.column1

-- save_file --
INSERT INTO source_files (path, size, modified_ns, skipped_count, imported_at)
VALUES (:path, :size, :modified_ns, :skipped_count, :imported_at)
ON CONFLICT (path) DO UPDATE SET size = excluded.size, modified_ns = excluded.modified_ns,
    skipped_count = excluded.skipped_count, imported_at = excluded.imported_at
