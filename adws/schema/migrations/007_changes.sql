-- The feed of changes: what was created, updated or deleted, in the order of the commits. A listener remembers how far it has
-- read, and asks for what came after.
--
-- A new log needs no row here: logs are only ever added, so that its own id is its place in the feed. Nor does a change of
-- agents.cost_usd alone, which always follows from a change of a prompt. The oldest rows are trimmed.

CREATE TABLE IF NOT EXISTS changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    entity TEXT NOT NULL,
    operation TEXT NOT NULL,
    row_id TEXT NOT NULL
);

CREATE TRIGGER IF NOT EXISTS orchestrator_agents_insert_change AFTER INSERT ON orchestrator_agents
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('orchestrator_agent', 'insert', NEW.id);
END;

CREATE TRIGGER IF NOT EXISTS orchestrator_agents_update_change AFTER UPDATE OF updated_at ON orchestrator_agents
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('orchestrator_agent', 'update', NEW.id);
END;

CREATE TRIGGER IF NOT EXISTS orchestrator_agents_delete_change AFTER DELETE ON orchestrator_agents
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('orchestrator_agent', 'delete', OLD.id);
END;

CREATE TRIGGER IF NOT EXISTS agents_insert_change AFTER INSERT ON agents
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('agent', 'insert', NEW.id);
END;

CREATE TRIGGER IF NOT EXISTS agents_update_change AFTER UPDATE OF id, orchestrator_agent_id, session_id, parent_agent_id, status, context, config, started_at, completed_at,
                error_message, lease_id ON agents
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('agent', 'update', NEW.id);
END;

CREATE TRIGGER IF NOT EXISTS agents_delete_change AFTER DELETE ON agents
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('agent', 'delete', OLD.id);
END;

CREATE TRIGGER IF NOT EXISTS prompts_insert_change AFTER INSERT ON prompts
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('prompt', 'insert', NEW.id);
END;

CREATE TRIGGER IF NOT EXISTS prompts_update_change AFTER UPDATE ON prompts
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('prompt', 'update', NEW.id);
END;

CREATE TRIGGER IF NOT EXISTS prompts_delete_change AFTER DELETE ON prompts
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('prompt', 'delete', OLD.id);
END;

CREATE TRIGGER IF NOT EXISTS agent_logs_update_change AFTER UPDATE ON agent_logs
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('agent_log', 'update', NEW.id);
END;

CREATE TRIGGER IF NOT EXISTS agent_logs_delete_change AFTER DELETE ON agent_logs
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('agent_log', 'delete', OLD.id);
END;

CREATE TRIGGER IF NOT EXISTS system_logs_update_change AFTER UPDATE ON system_logs
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('system_log', 'update', NEW.id);
END;

CREATE TRIGGER IF NOT EXISTS system_logs_delete_change AFTER DELETE ON system_logs
BEGIN
    INSERT INTO changes (entity, operation, row_id) VALUES ('system_log', 'delete', OLD.id);
END;
