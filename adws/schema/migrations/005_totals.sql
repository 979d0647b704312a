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
