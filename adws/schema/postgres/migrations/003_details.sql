-- What the five tables have no column for: cached tokens, where a cost comes from, and anything a source says beyond that.
-- tokens_input includes both kinds of cached tokens; tokens_cache_write includes those written for an hour.
-- cost_basis names the price that was used, or why there is none.

ALTER TABLE orchestrator_agents ADD COLUMN description TEXT;
ALTER TABLE prompts ADD COLUMN tokens_cache_read BIGINT CHECK (tokens_cache_read >= 0);
ALTER TABLE prompts ADD COLUMN tokens_cache_write BIGINT CHECK (tokens_cache_write >= 0);
ALTER TABLE prompts ADD COLUMN tokens_cache_write_1h BIGINT CHECK (tokens_cache_write_1h >= 0);
ALTER TABLE prompts ADD COLUMN cost_source TEXT CHECK (cost_source IN ('reported', 'priced', 'unknown'));
ALTER TABLE prompts ADD COLUMN cost_basis TEXT;
ALTER TABLE prompts ADD COLUMN details JSONB;
