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
