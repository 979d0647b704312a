-- Which migrations a database has had: what the specification calls the future enhancement of its migration strategy.
-- checksum is that of the migration file, schema_hash that of all tables and triggers as the migration left them.

CREATE TABLE IF NOT EXISTS schema_version (
    number INTEGER PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    checksum TEXT NOT NULL,
    applied_at TEXT NOT NULL DEFAULT (datetime('now')),
    product_version TEXT NOT NULL,
    schema_hash TEXT NOT NULL
);
