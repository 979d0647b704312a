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
