-- The five tables of the specification. May be applied by hand, any number of times:
--     sqlite3 orchestrator.db < adws/schema/migrations/001_initial.sql
--
-- A closed vocabulary is checked as (a = 'x' OR a = 'y'): for IN (...) SQLite builds a temporary index for every row.
-- Each index ends in the time by which its table is listed, so that one index finds and orders a page. One that begins with few
-- values is for those who ask for one of them: IS NOT NULL, which always holds, keeps SQLite from walking through all of them.

CREATE TABLE IF NOT EXISTS orchestrator_agents (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    agent_type TEXT NOT NULL
        CHECK (agent_type = 'planner' OR agent_type = 'builder' OR agent_type = 'reviewer'
            OR agent_type = 'tester' OR agent_type = 'orchestrator' OR agent_type = 'utility'),
    capabilities TEXT CHECK (capabilities IS NULL OR json_valid(capabilities)),
    default_model TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now'))
);

CREATE TABLE IF NOT EXISTS agents (
    id TEXT PRIMARY KEY NOT NULL,
    orchestrator_agent_id TEXT NOT NULL REFERENCES orchestrator_agents (id) ON DELETE CASCADE,
    session_id TEXT NOT NULL,
    parent_agent_id TEXT REFERENCES agents (id) ON DELETE SET NULL,
    status TEXT NOT NULL DEFAULT 'initializing'
        CHECK (status = 'initializing' OR status = 'planning' OR status = 'executing' OR status = 'reviewing'
            OR status = 'completed' OR status = 'failed' OR status = 'cancelled'),
    context TEXT CHECK (context IS NULL OR json_valid(context)),
    config TEXT CHECK (config IS NULL OR json_valid(config)),
    started_at TEXT NOT NULL DEFAULT (datetime('now')),
    completed_at TEXT,
    cost_usd REAL CHECK (cost_usd >= 0),
    error_message TEXT
);

CREATE TABLE IF NOT EXISTS prompts (
    id TEXT PRIMARY KEY NOT NULL,
    agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    prompt_type TEXT NOT NULL
        CHECK (prompt_type = 'adw' OR prompt_type = 'command' OR prompt_type = 'followup'
            OR prompt_type = 'correction' OR prompt_type = 'tool_call'),
    prompt_name TEXT,
    prompt_text TEXT NOT NULL,
    response_text TEXT,
    status TEXT NOT NULL DEFAULT 'pending'
        CHECK (status = 'pending' OR status = 'streaming' OR status = 'completed'
            OR status = 'failed' OR status = 'cancelled'),
    model_used TEXT,
    tokens_input INTEGER CHECK (tokens_input >= 0),
    tokens_output INTEGER CHECK (tokens_output >= 0),
    cost_usd REAL CHECK (cost_usd >= 0),
    latency_ms INTEGER CHECK (latency_ms >= 0),
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    completed_at TEXT,
    error_message TEXT
);

CREATE TABLE IF NOT EXISTS agent_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    log_level TEXT NOT NULL DEFAULT 'INFO'
        CHECK (log_level = 'DEBUG' OR log_level = 'INFO' OR log_level = 'WARNING'
            OR log_level = 'ERROR' OR log_level = 'CRITICAL'),
    log_type TEXT NOT NULL
        CHECK (log_type = 'state_change' OR log_type = 'milestone' OR log_type = 'error'
            OR log_type = 'performance' OR log_type = 'tool_call' OR log_type = 'cost_update'),
    message TEXT NOT NULL,
    details TEXT CHECK (details IS NULL OR json_valid(details)),
    created_at TEXT NOT NULL DEFAULT (datetime('now'))
);

CREATE TABLE IF NOT EXISTS system_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    log_level TEXT NOT NULL DEFAULT 'INFO'
        CHECK (log_level = 'DEBUG' OR log_level = 'INFO' OR log_level = 'WARNING'
            OR log_level = 'ERROR' OR log_level = 'CRITICAL'),
    component TEXT NOT NULL,
    message TEXT NOT NULL,
    details TEXT CHECK (details IS NULL OR json_valid(details)),
    created_at TEXT NOT NULL DEFAULT (datetime('now'))
);

-- The columns are named so that the trigger's own update does not start it again.
CREATE TRIGGER IF NOT EXISTS update_orchestrator_agents_updated_at
AFTER UPDATE OF id, name, agent_type, capabilities, default_model, created_at ON orchestrator_agents
BEGIN
    UPDATE orchestrator_agents SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now') WHERE id = NEW.id;
END;

CREATE INDEX IF NOT EXISTS idx_agents_session ON agents (session_id, started_at);
CREATE INDEX IF NOT EXISTS idx_agents_orch ON agents (orchestrator_agent_id, started_at) WHERE orchestrator_agent_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_prompts_agent ON prompts (agent_id, created_at);
CREATE INDEX IF NOT EXISTS idx_prompts_status ON prompts (status, created_at) WHERE status IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_agent_logs_agent ON agent_logs (agent_id, created_at);
CREATE INDEX IF NOT EXISTS idx_system_logs_level ON system_logs (log_level, created_at) WHERE log_level IS NOT NULL;
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
-- What the five tables have no column for: cached tokens, where a cost comes from, and anything a source says beyond that.
-- tokens_input includes both kinds of cached tokens; tokens_cache_write includes those written for an hour.
-- cost_basis names the price that was used, or why there is none.

ALTER TABLE orchestrator_agents ADD COLUMN description TEXT;
ALTER TABLE prompts ADD COLUMN tokens_cache_read INTEGER CHECK (tokens_cache_read >= 0);
ALTER TABLE prompts ADD COLUMN tokens_cache_write INTEGER CHECK (tokens_cache_write >= 0);
ALTER TABLE prompts ADD COLUMN tokens_cache_write_1h INTEGER CHECK (tokens_cache_write_1h >= 0);
ALTER TABLE prompts ADD COLUMN cost_source TEXT
    CHECK (cost_source = 'reported' OR cost_source = 'priced' OR cost_source = 'unknown');
ALTER TABLE prompts ADD COLUMN cost_basis TEXT;
ALTER TABLE prompts ADD COLUMN details TEXT CHECK (details IS NULL OR json_valid(details));

DROP TRIGGER IF EXISTS update_orchestrator_agents_updated_at;

CREATE TRIGGER update_orchestrator_agents_updated_at
AFTER UPDATE OF id, name, description, agent_type, capabilities, default_model, created_at ON orchestrator_agents
BEGIN
    UPDATE orchestrator_agents SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now') WHERE id = NEW.id;
END;
-- Each recording process holds one lease, and the agents it runs point to it: when the process is gone, so is what it ran.
-- process_started_at tells a process from a later one of the same number. A process that ended orderly has released_at.

CREATE TABLE IF NOT EXISTS leases (
    id TEXT PRIMARY KEY NOT NULL,
    host TEXT NOT NULL,
    process_id INTEGER NOT NULL,
    process_started_at TEXT NOT NULL,
    acquired_at TEXT NOT NULL DEFAULT (datetime('now')),
    heartbeat_at TEXT NOT NULL DEFAULT (datetime('now')),
    released_at TEXT
);

ALTER TABLE agents ADD COLUMN lease_id TEXT REFERENCES leases (id) ON DELETE SET NULL;

CREATE INDEX IF NOT EXISTS idx_agents_lease ON agents (lease_id) WHERE lease_id IS NOT NULL;
-- Totals, kept by triggers, so that they are right for every writer and a list of sessions is one index walk at any size.
--
-- agents.cost_usd  the sum of the agent's prompts; NULL while none of them has a known cost. It moves by exact differences,
--                  rounded to the eighth decimal each time, so that nothing drifts.
-- sessions         one row a workflow. It fails or is cancelled with its root agents, not with a sub-agent they survived.
-- daily_usage      one row a day, kind of agent and model ('' while unknown). Rows with pruned = 1 keep what retention removed.
-- log_counts       how many logs there are up to a position. New ones are always behind it, so that recording them costs nothing:
--                  whoever wants to know how many there are counts these, and moves the position.
--
-- A prompt counts once it has ended or has a cost. What a row counts for stands in one view; whatever happens to the row is
-- posted as "take away what it counted for" and "add what it counts for now". A posting is an INSERT into a view whose
-- trigger does the bookkeeping: the nearest SQLite has to a procedure.

CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY NOT NULL,
    started_at TEXT NOT NULL,
    last_activity_at TEXT NOT NULL,
    agent_count INTEGER NOT NULL DEFAULT 0,
    running_count INTEGER NOT NULL DEFAULT 0,
    failed_count INTEGER NOT NULL DEFAULT 0,
    root_failed_count INTEGER NOT NULL DEFAULT 0,
    root_cancelled_count INTEGER NOT NULL DEFAULT 0,
    prompt_count INTEGER NOT NULL DEFAULT 0,
    prompt_failed_count INTEGER NOT NULL DEFAULT 0,
    priced_count INTEGER NOT NULL DEFAULT 0,
    unpriced_count INTEGER NOT NULL DEFAULT 0,
    tokens_input INTEGER NOT NULL DEFAULT 0,
    tokens_output INTEGER NOT NULL DEFAULT 0,
    tokens_cache_read INTEGER NOT NULL DEFAULT 0,
    tokens_cache_write INTEGER NOT NULL DEFAULT 0,
    cost_usd REAL NOT NULL DEFAULT 0,
    pruned_at TEXT,
    status TEXT NOT NULL GENERATED ALWAYS AS (
        CASE WHEN running_count > 0 THEN 'running'
             WHEN root_failed_count > 0 THEN 'failed'
             WHEN root_cancelled_count > 0 THEN 'cancelled'
             ELSE 'completed' END
    ) STORED
);

CREATE TABLE IF NOT EXISTS daily_usage (
    day TEXT NOT NULL,
    orchestrator_agent_id TEXT NOT NULL,
    model TEXT NOT NULL,
    pruned INTEGER NOT NULL DEFAULT 0 CHECK (pruned = 0 OR pruned = 1),
    prompt_count INTEGER NOT NULL DEFAULT 0,
    prompt_failed_count INTEGER NOT NULL DEFAULT 0,
    priced_count INTEGER NOT NULL DEFAULT 0,
    unpriced_count INTEGER NOT NULL DEFAULT 0,
    tokens_input INTEGER NOT NULL DEFAULT 0,
    tokens_output INTEGER NOT NULL DEFAULT 0,
    tokens_cache_read INTEGER NOT NULL DEFAULT 0,
    tokens_cache_write INTEGER NOT NULL DEFAULT 0,
    cost_usd REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (day, orchestrator_agent_id, model, pruned)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS log_counts (
    entity TEXT PRIMARY KEY NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    log_count INTEGER NOT NULL DEFAULT 0
);

INSERT OR IGNORE INTO log_counts (entity) VALUES ('agent_log'), ('system_log');

CREATE VIEW IF NOT EXISTS agent_postings AS
SELECT
    id AS agent_id,
    session_id,
    started_at,
    COALESCE(completed_at, started_at) AS active_at,
    1 AS agent_count,
    status <> 'completed' AND status <> 'failed' AND status <> 'cancelled' AS running_count,
    status = 'failed' AS failed_count,
    status = 'failed' AND parent_agent_id IS NULL AS root_failed_count,
    status = 'cancelled' AND parent_agent_id IS NULL AS root_cancelled_count
FROM agents;

CREATE TRIGGER IF NOT EXISTS post_agent INSTEAD OF INSERT ON agent_postings
BEGIN
    INSERT INTO sessions (session_id, started_at, last_activity_at, agent_count, running_count, failed_count,
                          root_failed_count, root_cancelled_count)
    VALUES (NEW.session_id, NEW.started_at, NEW.active_at, NEW.agent_count, NEW.running_count, NEW.failed_count,
            NEW.root_failed_count, NEW.root_cancelled_count)
    ON CONFLICT (session_id) DO UPDATE SET
        started_at = min(started_at, excluded.started_at),
        last_activity_at = max(last_activity_at, excluded.last_activity_at),
        agent_count = agent_count + excluded.agent_count,
        running_count = running_count + excluded.running_count,
        failed_count = failed_count + excluded.failed_count,
        root_failed_count = root_failed_count + excluded.root_failed_count,
        root_cancelled_count = root_cancelled_count + excluded.root_cancelled_count;
END;

CREATE VIEW IF NOT EXISTS prompt_postings AS
SELECT
    prompts.id AS prompt_id,
    prompts.agent_id,
    agents.session_id,
    agents.orchestrator_agent_id,
    prompts.created_at,
    COALESCE(prompts.completed_at, prompts.created_at) AS active_at,
    COALESCE(prompts.model_used, '') AS model,
    1 AS prompt_count,
    prompts.status = 'failed' AS prompt_failed_count,
    prompts.cost_usd IS NOT NULL AS priced_count,
    prompts.cost_usd IS NULL AND prompts.status = 'completed' AS unpriced_count,
    COALESCE(prompts.tokens_input, 0) AS tokens_input,
    COALESCE(prompts.tokens_output, 0) AS tokens_output,
    COALESCE(prompts.tokens_cache_read, 0) AS tokens_cache_read,
    COALESCE(prompts.tokens_cache_write, 0) AS tokens_cache_write,
    COALESCE(prompts.cost_usd, 0) AS cost_usd
FROM prompts JOIN agents ON agents.id = prompts.agent_id
WHERE prompts.cost_usd IS NOT NULL
   OR prompts.status = 'completed' OR prompts.status = 'failed' OR prompts.status = 'cancelled';

CREATE TRIGGER IF NOT EXISTS post_prompt INSTEAD OF INSERT ON prompt_postings
BEGIN
    UPDATE agents SET cost_usd = CASE
        WHEN NEW.priced_count > 0
            OR EXISTS (SELECT 1 FROM prompts WHERE agent_id = NEW.agent_id AND id <> NEW.prompt_id AND cost_usd IS NOT NULL)
        THEN ROUND(COALESCE(cost_usd, 0) + NEW.cost_usd, 8) END
    WHERE id = NEW.agent_id AND NEW.priced_count <> 0;

    UPDATE sessions SET
        last_activity_at = max(last_activity_at, NEW.active_at),
        prompt_count = prompt_count + NEW.prompt_count,
        prompt_failed_count = prompt_failed_count + NEW.prompt_failed_count,
        priced_count = priced_count + NEW.priced_count,
        unpriced_count = unpriced_count + NEW.unpriced_count,
        tokens_input = tokens_input + NEW.tokens_input,
        tokens_output = tokens_output + NEW.tokens_output,
        tokens_cache_read = tokens_cache_read + NEW.tokens_cache_read,
        tokens_cache_write = tokens_cache_write + NEW.tokens_cache_write,
        cost_usd = ROUND(cost_usd + NEW.cost_usd, 8)
    WHERE session_id = NEW.session_id;

    INSERT INTO daily_usage (day, orchestrator_agent_id, model, prompt_count, prompt_failed_count, priced_count, unpriced_count,
                             tokens_input, tokens_output, tokens_cache_read, tokens_cache_write, cost_usd)
    VALUES (date(NEW.created_at), NEW.orchestrator_agent_id, NEW.model, NEW.prompt_count, NEW.prompt_failed_count,
            NEW.priced_count, NEW.unpriced_count, NEW.tokens_input, NEW.tokens_output, NEW.tokens_cache_read,
            NEW.tokens_cache_write, NEW.cost_usd)
    ON CONFLICT (day, orchestrator_agent_id, model, pruned) DO UPDATE SET
        prompt_count = prompt_count + excluded.prompt_count,
        prompt_failed_count = prompt_failed_count + excluded.prompt_failed_count,
        priced_count = priced_count + excluded.priced_count,
        unpriced_count = unpriced_count + excluded.unpriced_count,
        tokens_input = tokens_input + excluded.tokens_input,
        tokens_output = tokens_output + excluded.tokens_output,
        tokens_cache_read = tokens_cache_read + excluded.tokens_cache_read,
        tokens_cache_write = tokens_cache_write + excluded.tokens_cache_write,
        cost_usd = ROUND(cost_usd + excluded.cost_usd, 8);
END;

CREATE VIEW IF NOT EXISTS agent_reversals AS
SELECT agent_id, session_id, started_at, active_at,
    -agent_count, -running_count, -failed_count, -root_failed_count, -root_cancelled_count
FROM agent_postings;

CREATE VIEW IF NOT EXISTS prompt_reversals AS
SELECT prompt_id, agent_id, session_id, orchestrator_agent_id, created_at, active_at, model,
    -prompt_count, -prompt_failed_count, -priced_count, -unpriced_count,
    -tokens_input, -tokens_output, -tokens_cache_read, -tokens_cache_write, -cost_usd
FROM prompt_postings;

CREATE TRIGGER IF NOT EXISTS agents_insert_totals AFTER INSERT ON agents
BEGIN
    INSERT INTO agent_postings SELECT * FROM agent_postings WHERE agent_id = NEW.id;
END;

-- An agent that moves to another session or kind takes what its prompts count for along.
CREATE TRIGGER IF NOT EXISTS agents_update_totals_before
BEFORE UPDATE OF session_id, orchestrator_agent_id, parent_agent_id, status, started_at, completed_at ON agents
BEGIN
    INSERT INTO prompt_postings SELECT * FROM prompt_reversals
    WHERE agent_id = OLD.id
      AND (NEW.session_id <> OLD.session_id OR NEW.orchestrator_agent_id <> OLD.orchestrator_agent_id);
    INSERT INTO agent_postings SELECT * FROM agent_reversals WHERE agent_id = OLD.id;
END;

CREATE TRIGGER IF NOT EXISTS agents_update_totals_after
AFTER UPDATE OF session_id, orchestrator_agent_id, parent_agent_id, status, started_at, completed_at ON agents
BEGIN
    INSERT INTO agent_postings SELECT * FROM agent_postings WHERE agent_id = NEW.id;
    INSERT INTO prompt_postings SELECT * FROM prompt_postings
    WHERE agent_id = NEW.id
      AND (NEW.session_id <> OLD.session_id OR NEW.orchestrator_agent_id <> OLD.orchestrator_agent_id);
    DELETE FROM sessions WHERE session_id = OLD.session_id AND agent_count = 0 AND pruned_at IS NULL;
END;

-- A session begins with its first agent. Where that one begins later after all, or leaves, the next in the index is the first.
CREATE TRIGGER IF NOT EXISTS agents_update_start AFTER UPDATE OF session_id, started_at ON agents
WHEN NEW.session_id <> OLD.session_id OR NEW.started_at > OLD.started_at
BEGIN
    UPDATE sessions SET started_at = (SELECT MIN(started_at) FROM agents WHERE session_id = OLD.session_id)
    WHERE session_id = OLD.session_id AND started_at = OLD.started_at AND pruned_at IS NULL
      AND EXISTS (SELECT 1 FROM agents WHERE session_id = OLD.session_id);
END;

-- Children go before their parent does, while it can still say which totals they belong to.
CREATE TRIGGER IF NOT EXISTS agents_delete_totals BEFORE DELETE ON agents
BEGIN
    DELETE FROM prompts WHERE agent_id = OLD.id;
    INSERT INTO agent_postings SELECT * FROM agent_reversals WHERE agent_id = OLD.id;
    DELETE FROM sessions WHERE session_id = OLD.session_id AND agent_count = 0 AND pruned_at IS NULL;
    UPDATE sessions SET
        started_at = (SELECT MIN(started_at) FROM agents WHERE session_id = OLD.session_id AND id <> OLD.id)
    WHERE session_id = OLD.session_id AND started_at = OLD.started_at AND agent_count > 0 AND pruned_at IS NULL;
END;

CREATE TRIGGER IF NOT EXISTS orchestrator_agents_delete_totals BEFORE DELETE ON orchestrator_agents
BEGIN
    DELETE FROM agents WHERE orchestrator_agent_id = OLD.id;
END;

CREATE TRIGGER IF NOT EXISTS prompts_insert_totals AFTER INSERT ON prompts
WHEN NEW.status <> 'pending' OR NEW.cost_usd IS NOT NULL
BEGIN
    INSERT INTO prompt_postings SELECT * FROM prompt_postings WHERE prompt_id = NEW.id;
END;

CREATE TRIGGER IF NOT EXISTS prompts_update_totals_before
BEFORE UPDATE OF agent_id, status, model_used, tokens_input, tokens_output, tokens_cache_read, tokens_cache_write,
                 cost_usd, created_at, completed_at ON prompts
WHEN OLD.status <> 'pending' OR OLD.cost_usd IS NOT NULL
BEGIN
    INSERT INTO prompt_postings SELECT * FROM prompt_reversals WHERE prompt_id = OLD.id;
END;

CREATE TRIGGER IF NOT EXISTS prompts_update_totals_after
AFTER UPDATE OF agent_id, status, model_used, tokens_input, tokens_output, tokens_cache_read, tokens_cache_write,
                cost_usd, created_at, completed_at ON prompts
BEGIN
    INSERT INTO prompt_postings SELECT * FROM prompt_postings WHERE prompt_id = NEW.id;
END;

CREATE TRIGGER IF NOT EXISTS prompts_delete_totals BEFORE DELETE ON prompts
BEGIN
    INSERT INTO prompt_postings SELECT * FROM prompt_reversals WHERE prompt_id = OLD.id;
END;

CREATE TRIGGER IF NOT EXISTS agent_logs_delete_totals AFTER DELETE ON agent_logs
BEGIN
    UPDATE log_counts SET log_count = log_count - 1 WHERE entity = 'agent_log' AND position >= OLD.id;
END;

CREATE TRIGGER IF NOT EXISTS system_logs_delete_totals AFTER DELETE ON system_logs
BEGIN
    UPDATE log_counts SET log_count = log_count - 1 WHERE entity = 'system_log' AND position >= OLD.id;
END;

-- What was there before is reckoned once. A cost that an agent has and its prompts do not account for becomes a prompt of its
-- own, so that the sum stays what it was.

INSERT INTO prompts (id, agent_id, prompt_type, prompt_name, prompt_text, status, cost_usd, cost_source, cost_basis,
                     created_at, completed_at)
SELECT
    lower(printf('%s-%s-4%s-8%s-%s', hex(randomblob(4)), hex(randomblob(2)), substr(hex(randomblob(2)), 2),
                 substr(hex(randomblob(2)), 2), hex(randomblob(6)))),
    id, 'adw', 'unitemised', '', 'completed', ROUND(cost_usd - itemised, 8), 'reported',
    'the cost that the agent had, less what its prompts account for', started_at, COALESCE(completed_at, started_at)
FROM (SELECT agents.*, (SELECT TOTAL(cost_usd) FROM prompts WHERE agent_id = agents.id) AS itemised FROM agents)
WHERE cost_usd - itemised >= 0.000000005 AND NOT EXISTS (SELECT 1 FROM sessions);

DELETE FROM daily_usage WHERE NOT EXISTS (SELECT 1 FROM sessions);
UPDATE agents SET cost_usd = NULL WHERE NOT EXISTS (SELECT 1 FROM sessions);
INSERT INTO agent_postings SELECT * FROM agent_postings WHERE NOT EXISTS (SELECT 1 FROM sessions);
INSERT INTO prompt_postings SELECT * FROM prompt_postings WHERE NOT EXISTS (SELECT 1 FROM daily_usage);
-- An index for each filter that a list takes, ended by the time that the list is ordered by. The commonest values are left out:
-- whoever asks for them finds enough in the order of time, and recording them costs an index less.

CREATE INDEX IF NOT EXISTS idx_agents_started ON agents (started_at);
CREATE INDEX IF NOT EXISTS idx_agents_status ON agents (status, started_at) WHERE status IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_agents_parent ON agents (parent_agent_id, started_at) WHERE parent_agent_id IS NOT NULL;

CREATE INDEX IF NOT EXISTS idx_prompts_created ON prompts (created_at);
-- Of two that seem equally good, SQLite takes the one that was made first.
CREATE INDEX IF NOT EXISTS idx_prompts_type_status ON prompts (prompt_type, status, created_at)
WHERE prompt_type <> 'adw' AND prompt_type <> 'followup' AND prompt_type <> 'tool_call';
CREATE INDEX IF NOT EXISTS idx_prompts_type_model ON prompts (prompt_type, model_used, created_at)
WHERE prompt_type <> 'adw' AND prompt_type <> 'followup' AND prompt_type <> 'tool_call';
CREATE INDEX IF NOT EXISTS idx_prompts_status_model ON prompts (status, model_used, created_at) WHERE status <> 'completed';
CREATE INDEX IF NOT EXISTS idx_prompts_type ON prompts (prompt_type, created_at)
WHERE prompt_type <> 'adw' AND prompt_type <> 'followup' AND prompt_type <> 'tool_call';
CREATE INDEX IF NOT EXISTS idx_prompts_model ON prompts (model_used, created_at) WHERE model_used IS NOT NULL;

CREATE INDEX IF NOT EXISTS idx_agent_logs_created ON agent_logs (created_at);
-- Before the two that they seem as good as.
CREATE INDEX IF NOT EXISTS idx_agent_logs_agent_type ON agent_logs (agent_id, log_type, created_at)
WHERE log_type <> 'milestone' AND log_type <> 'tool_call';
CREATE INDEX IF NOT EXISTS idx_agent_logs_agent_level ON agent_logs (agent_id, log_level, created_at) WHERE log_level <> 'INFO';
CREATE INDEX IF NOT EXISTS idx_agent_logs_level ON agent_logs (log_level, created_at) WHERE log_level <> 'INFO';
CREATE INDEX IF NOT EXISTS idx_agent_logs_type_level ON agent_logs (log_type, log_level, created_at)
WHERE log_type <> 'milestone' AND log_type <> 'tool_call';
CREATE INDEX IF NOT EXISTS idx_agent_logs_type ON agent_logs (log_type, created_at)
WHERE log_type <> 'milestone' AND log_type <> 'tool_call';

CREATE INDEX IF NOT EXISTS idx_system_logs_created ON system_logs (created_at);
CREATE INDEX IF NOT EXISTS idx_system_logs_component ON system_logs (component, created_at) WHERE component IS NOT NULL;

CREATE INDEX IF NOT EXISTS idx_sessions_started ON sessions (started_at, session_id);
CREATE INDEX IF NOT EXISTS idx_sessions_status ON sessions (status, started_at, session_id) WHERE status IS NOT NULL;
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
-- What importers need to add a record once, however often they meet it: the name that its source gives to a log record (agents
-- and prompts carry it in their id), and the files that have been read already.

ALTER TABLE agent_logs ADD COLUMN source_key TEXT;
ALTER TABLE system_logs ADD COLUMN source_key TEXT;

CREATE UNIQUE INDEX IF NOT EXISTS idx_agent_logs_source ON agent_logs (source_key) WHERE source_key IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS idx_system_logs_source ON system_logs (source_key) WHERE source_key IS NOT NULL;

CREATE TABLE IF NOT EXISTS source_files (
    path TEXT PRIMARY KEY NOT NULL,
    size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    skipped_count INTEGER NOT NULL DEFAULT 0,
    imported_at TEXT NOT NULL DEFAULT (datetime('now'))
);
-- How many secrets were kept out, by day, kind and table. The secrets themselves are nowhere.

CREATE TABLE IF NOT EXISTS redactions (
    day TEXT NOT NULL,
    kind TEXT NOT NULL,
    entity TEXT NOT NULL,
    redaction_count INTEGER NOT NULL,
    PRIMARY KEY (day, kind, entity)
) WITHOUT ROWID;
-- The records of traces as far as other records need them: agents, requests and tools find their place by their ancestors, which
-- may come later than they do, and in another request. The five tables hold what these amount to.
--
-- details is what a record says, without its long texts. response_id is the name that a provider gave to an answer, by which two
-- that tell of one request find each other.

CREATE TABLE IF NOT EXISTS spans (
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    parent_span_id TEXT,
    response_id TEXT,
    details TEXT NOT NULL CHECK (json_valid(details)),
    received_at TEXT NOT NULL DEFAULT (datetime('now')),
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS idx_spans_response ON spans (response_id) WHERE response_id IS NOT NULL;
