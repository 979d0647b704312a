-- Full-text search over prompts and their answers, and over both kinds of logs. Recording does not pay for it: a statement leaves
-- one row in search_backlog, with the rows that it added or changed, and these are put into the index when somebody searches, or
-- meanwhile by the server.
--
-- Words are what stands between spaces and ASCII punctuation, without accents, as on SQLite: PostgreSQL's own parser would take
-- specs/issue-42.md for one word.

CREATE TABLE IF NOT EXISTS search_backlog (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity TEXT NOT NULL,
    row_ids TEXT[] NOT NULL
);

CREATE INDEX IF NOT EXISTS idx_search_backlog_entity ON search_backlog (entity, id);

CREATE TABLE IF NOT EXISTS prompt_search (
    id UUID PRIMARY KEY REFERENCES prompts (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    words TSVECTOR NOT NULL
);

CREATE TABLE IF NOT EXISTS agent_log_search (
    id BIGINT PRIMARY KEY REFERENCES agent_logs (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    words TSVECTOR NOT NULL
);

CREATE TABLE IF NOT EXISTS system_log_search (
    id BIGINT PRIMARY KEY REFERENCES system_logs (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    words TSVECTOR NOT NULL
);

CREATE INDEX IF NOT EXISTS idx_prompt_search_words ON prompt_search USING gin (words);
CREATE INDEX IF NOT EXISTS idx_prompt_search_created ON prompt_search (created_at);
CREATE INDEX IF NOT EXISTS idx_agent_log_search_words ON agent_log_search USING gin (words);
CREATE INDEX IF NOT EXISTS idx_agent_log_search_created ON agent_log_search (created_at);
CREATE INDEX IF NOT EXISTS idx_system_log_search_words ON system_log_search USING gin (words);
CREATE INDEX IF NOT EXISTS idx_system_log_search_created ON system_log_search (created_at);

CREATE OR REPLACE FUNCTION without_punctuation(content TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT translate(content, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ')
$$;

CREATE OR REPLACE FUNCTION without_accents(content TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN octet_length(content) = length(content) THEN content
        ELSE regexp_replace(normalize(content, NFD), '[\u0300-\u036f]', '', 'g') END
$$;

-- An index entry holds a megabyte: of a text with more words than that, only the beginning is found. The variable is there so that
-- the text is made once, and not at each place where without_accents names it.
CREATE OR REPLACE FUNCTION searchable(content TEXT) RETURNS TSVECTOR LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    plain TEXT := without_punctuation(content);
BEGIN
    RETURN to_tsvector('pg_catalog.simple', without_accents(plain));
EXCEPTION WHEN program_limit_exceeded THEN
    RETURN searchable(left(content, length(content) / 2));
END $$;

-- The words in their place, in the first text that has them. What joins words for PostgreSQL's parser is hidden from it, in
-- characters that nobody uses.
CREATE OR REPLACE FUNCTION headline(content TEXT, wanted TSQUERY) RETURNS TEXT LANGUAGE sql STABLE AS $$
    SELECT translate(
        ts_headline('pg_catalog.simple', translate(left(content, 200000), './:-_@<>&', U&'\E000\E001\E002\E003\E004\E005\E006\E007\E008'),
                    wanted, 'StartSel=⟦, StopSel=⟧, MinWords=8, MaxWords=16, ShortWord=0'),
        U&'\E000\E001\E002\E003\E004\E005\E006\E007\E008', './:-_@<>&')
$$;

CREATE OR REPLACE FUNCTION excerpt(first TEXT, second TEXT, wanted TSQUERY) RETURNS TEXT LANGUAGE plpgsql STABLE AS $$
DECLARE
    content TEXT := first;
    found TEXT := headline(first, wanted);
    plain TEXT;
BEGIN
    IF strpos(found, '⟦') = 0 AND second IS NOT NULL AND strpos(headline(second, wanted), '⟦') > 0 THEN
        content := second;
        found := headline(second, wanted);
    END IF;
    plain := translate(found, '⟦⟧', '');
    RETURN CASE WHEN starts_with(content, plain) THEN '' ELSE '…' END || found
        || CASE WHEN right(content, length(plain)) = plain THEN '' ELSE '…' END;
END $$;

CREATE OR REPLACE FUNCTION note_searchable() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_backlog (entity, row_ids)
    SELECT TG_ARGV[0], array_agg(changed.id::TEXT) FROM changed HAVING COUNT(*) > 0;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER prompts_insert_search AFTER INSERT ON prompts
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_searchable('prompt');

CREATE OR REPLACE TRIGGER agent_logs_insert_search AFTER INSERT ON agent_logs
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_searchable('agent_log');

CREATE OR REPLACE TRIGGER system_logs_insert_search AFTER INSERT ON system_logs
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_searchable('system_log');

CREATE OR REPLACE TRIGGER prompts_update_search AFTER UPDATE ON prompts
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_searchable('prompt');

CREATE OR REPLACE TRIGGER agent_logs_update_search AFTER UPDATE ON agent_logs
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_searchable('agent_log');

CREATE OR REPLACE TRIGGER system_logs_update_search AFTER UPDATE ON system_logs
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_searchable('system_log');

INSERT INTO search_backlog (entity, row_ids)
SELECT entity, array_agg(id) FROM (
    SELECT 'prompt' AS entity, id::TEXT AS id, row_number() OVER (ORDER BY created_at) / 500 AS piece FROM prompts
    UNION ALL SELECT 'agent_log', id::TEXT, row_number() OVER (ORDER BY id) / 500 FROM agent_logs
    UNION ALL SELECT 'system_log', id::TEXT, row_number() OVER (ORDER BY id) / 500 FROM system_logs
) AS present GROUP BY entity, piece;
