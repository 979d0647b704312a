-- Which migrations a database has had: what the specification calls the future enhancement of its migration strategy.
-- checksum is that of the migration file, schema_hash that of everything as the migration left it.

CREATE TABLE IF NOT EXISTS schema_version (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    checksum TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    product_version TEXT NOT NULL,
    schema_hash TEXT NOT NULL
);
