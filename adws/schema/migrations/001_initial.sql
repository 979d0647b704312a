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
