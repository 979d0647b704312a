-- Full-text search over prompts and their answers, and over both kinds of logs. The indexes hold words, not the text, and are
-- filled when somebody searches, so that recording does not pay for them: search_progress says how far they are. A row that
-- is in an index is taken out of it, by triggers, before it changes or goes.
--
-- A prompt's text id cannot be the number that an index wants, so that prompt_documents gives it one when it is indexed.
-- Its progress counts SQLite's row numbers, which VACUUM may change: marker is the id of the prompt that had the number.

CREATE TABLE IF NOT EXISTS search_progress (
    entity TEXT PRIMARY KEY NOT NULL,
    position INTEGER NOT NULL,
    marker TEXT
);

INSERT OR IGNORE INTO search_progress (entity, position)
VALUES ('prompt', 0), ('prompt_document', 0), ('agent_log', 0), ('system_log', 0);

CREATE TABLE IF NOT EXISTS prompt_documents (
    document_id INTEGER PRIMARY KEY AUTOINCREMENT,
    prompt_id TEXT NOT NULL UNIQUE
);

CREATE VIEW IF NOT EXISTS prompt_texts AS
SELECT prompt_documents.document_id, prompts.prompt_text, prompts.response_text
FROM prompt_documents JOIN prompts ON prompts.id = prompt_documents.prompt_id;

CREATE VIRTUAL TABLE IF NOT EXISTS prompt_search USING fts5 (
    prompt_text, response_text, content = 'prompt_texts', content_rowid = 'document_id', tokenize = 'unicode61 remove_diacritics 2'
);

CREATE VIRTUAL TABLE IF NOT EXISTS agent_log_search USING fts5 (
    message, details, content = 'agent_logs', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);

CREATE VIRTUAL TABLE IF NOT EXISTS system_log_search USING fts5 (
    message, details, content = 'system_logs', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);

CREATE TRIGGER IF NOT EXISTS prompts_update_search_before BEFORE UPDATE OF id, prompt_text, response_text ON prompts
BEGIN
    INSERT INTO prompt_search (prompt_search, rowid, prompt_text, response_text)
    SELECT 'delete', document_id, OLD.prompt_text, OLD.response_text FROM prompt_documents WHERE prompt_id = OLD.id;
END;

CREATE TRIGGER IF NOT EXISTS prompts_update_search_after AFTER UPDATE OF id, prompt_text, response_text ON prompts
BEGIN
    UPDATE prompt_documents SET prompt_id = NEW.id WHERE prompt_id = OLD.id AND NEW.id <> OLD.id;
    INSERT INTO prompt_search (rowid, prompt_text, response_text)
    SELECT document_id, NEW.prompt_text, NEW.response_text FROM prompt_documents WHERE prompt_id = NEW.id;
END;

-- Row numbers behind the last row that is left are given again.
CREATE TRIGGER IF NOT EXISTS prompts_delete_search BEFORE DELETE ON prompts
BEGIN
    INSERT INTO prompt_search (prompt_search, rowid, prompt_text, response_text)
    SELECT 'delete', document_id, OLD.prompt_text, OLD.response_text FROM prompt_documents WHERE prompt_id = OLD.id;
    DELETE FROM prompt_documents WHERE prompt_id = OLD.id;
    UPDATE search_progress SET
        position = COALESCE((SELECT MAX(rowid) FROM prompts WHERE rowid <> OLD.rowid), 0),
        marker = (SELECT id FROM prompts WHERE rowid <> OLD.rowid ORDER BY rowid DESC LIMIT 1)
    WHERE entity = 'prompt' AND position > COALESCE((SELECT MAX(rowid) FROM prompts WHERE rowid <> OLD.rowid), 0);
    UPDATE search_progress SET
        marker = (SELECT id FROM prompts WHERE rowid < OLD.rowid ORDER BY rowid DESC LIMIT 1),
        position = COALESCE((SELECT MAX(rowid) FROM prompts WHERE rowid < OLD.rowid), 0)
    WHERE entity = 'prompt' AND position = OLD.rowid;
END;

CREATE TRIGGER IF NOT EXISTS agent_logs_update_search AFTER UPDATE OF message, details ON agent_logs
WHEN OLD.id <= (SELECT position FROM search_progress WHERE entity = 'agent_log')
BEGIN
    INSERT INTO agent_log_search (agent_log_search, rowid, message, details) VALUES ('delete', OLD.id, OLD.message, OLD.details);
    INSERT INTO agent_log_search (rowid, message, details) VALUES (NEW.id, NEW.message, NEW.details);
END;

CREATE TRIGGER IF NOT EXISTS agent_logs_delete_search AFTER DELETE ON agent_logs
WHEN OLD.id <= (SELECT position FROM search_progress WHERE entity = 'agent_log')
BEGIN
    INSERT INTO agent_log_search (agent_log_search, rowid, message, details) VALUES ('delete', OLD.id, OLD.message, OLD.details);
END;

CREATE TRIGGER IF NOT EXISTS system_logs_update_search AFTER UPDATE OF message, details ON system_logs
WHEN OLD.id <= (SELECT position FROM search_progress WHERE entity = 'system_log')
BEGIN
    INSERT INTO system_log_search (system_log_search, rowid, message, details) VALUES ('delete', OLD.id, OLD.message, OLD.details);
    INSERT INTO system_log_search (rowid, message, details) VALUES (NEW.id, NEW.message, NEW.details);
END;

CREATE TRIGGER IF NOT EXISTS system_logs_delete_search AFTER DELETE ON system_logs
WHEN OLD.id <= (SELECT position FROM search_progress WHERE entity = 'system_log')
BEGIN
    INSERT INTO system_log_search (system_log_search, rowid, message, details) VALUES ('delete', OLD.id, OLD.message, OLD.details);
END;
