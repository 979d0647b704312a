-- Totals, kept by triggers, so that they are right for every writer, and reading them takes the same time at any size.
--
-- agents.cost_usd  the sum of the agent's prompts; NULL while none of them has a known cost.
-- sessions         one row a workflow. It fails or is cancelled with its root agents, not with a sub-agent they survived.
-- daily_usage      one row a day, kind of agent and model ('' while unknown). Rows with pruned = 1 keep what retention removed.
-- log_counts       how many logs there are: what its rows add up to.
--
-- sessions and daily_usage are views. Were they tables, all recorders would wait for each other at the rows of today, and could
-- block each other for good. Instead each recorder adds to rows of its own, which have its slot, and whoever reads adds these up.
-- A recorder that has come by a slot (0 to 63, see the advisory locks of the engine) is alone with its rows; others get one by
-- their process number and may have to wait for each other, which is as right, and slower.
--
-- A prompt counts once it has ended or has a cost. Whatever happens to a row is posted as "take away what it counted for" and
-- "add what it counts for now".

CREATE TABLE IF NOT EXISTS session_starts (
    session_id TEXT COLLATE "C" PRIMARY KEY,
    started_at TIMESTAMPTZ NOT NULL,
    pruned_at TIMESTAMPTZ
);

CREATE TABLE IF NOT EXISTS session_totals (
    session_id TEXT COLLATE "C" NOT NULL,
    slot SMALLINT NOT NULL,
    last_activity_at TIMESTAMPTZ NOT NULL,
    agent_count BIGINT NOT NULL DEFAULT 0,
    running_count BIGINT NOT NULL DEFAULT 0,
    failed_count BIGINT NOT NULL DEFAULT 0,
    root_failed_count BIGINT NOT NULL DEFAULT 0,
    root_cancelled_count BIGINT NOT NULL DEFAULT 0,
    prompt_count BIGINT NOT NULL DEFAULT 0,
    prompt_failed_count BIGINT NOT NULL DEFAULT 0,
    priced_count BIGINT NOT NULL DEFAULT 0,
    unpriced_count BIGINT NOT NULL DEFAULT 0,
    tokens_input NUMERIC(30) NOT NULL DEFAULT 0,
    tokens_output NUMERIC(30) NOT NULL DEFAULT 0,
    tokens_cache_read NUMERIC(30) NOT NULL DEFAULT 0,
    tokens_cache_write NUMERIC(30) NOT NULL DEFAULT 0,
    cost_usd NUMERIC(28, 8) NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id, slot)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS daily_totals (
    day TEXT COLLATE "C" NOT NULL,
    orchestrator_agent_id UUID NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    pruned SMALLINT NOT NULL DEFAULT 0 CHECK (pruned IN (0, 1)),
    slot SMALLINT NOT NULL,
    prompt_count BIGINT NOT NULL DEFAULT 0,
    prompt_failed_count BIGINT NOT NULL DEFAULT 0,
    priced_count BIGINT NOT NULL DEFAULT 0,
    unpriced_count BIGINT NOT NULL DEFAULT 0,
    tokens_input NUMERIC(30) NOT NULL DEFAULT 0,
    tokens_output NUMERIC(30) NOT NULL DEFAULT 0,
    tokens_cache_read NUMERIC(30) NOT NULL DEFAULT 0,
    tokens_cache_write NUMERIC(30) NOT NULL DEFAULT 0,
    cost_usd NUMERIC(28, 8) NOT NULL DEFAULT 0,
    PRIMARY KEY (day, orchestrator_agent_id, model, pruned, slot)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS log_counts (
    entity TEXT NOT NULL,
    slot SMALLINT NOT NULL,
    log_count BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (entity, slot)
) WITH (fillfactor = 50);

CREATE OR REPLACE VIEW sessions AS
SELECT
    session_starts.session_id,
    session_starts.started_at,
    totals.last_activity_at,
    totals.agent_count,
    totals.running_count,
    totals.failed_count,
    totals.root_failed_count,
    totals.root_cancelled_count,
    totals.prompt_count,
    totals.prompt_failed_count,
    totals.priced_count,
    totals.unpriced_count,
    totals.tokens_input,
    totals.tokens_output,
    totals.tokens_cache_read,
    totals.tokens_cache_write,
    totals.cost_usd,
    session_starts.pruned_at,
    CASE WHEN totals.running_count > 0 THEN 'running'
         WHEN totals.root_failed_count > 0 THEN 'failed'
         WHEN totals.root_cancelled_count > 0 THEN 'cancelled'
         ELSE 'completed' END AS status
FROM session_starts CROSS JOIN LATERAL (
    SELECT
        MAX(session_totals.last_activity_at) AS last_activity_at,
        SUM(agent_count)::BIGINT AS agent_count,
        SUM(running_count)::BIGINT AS running_count,
        SUM(failed_count)::BIGINT AS failed_count,
        SUM(root_failed_count)::BIGINT AS root_failed_count,
        SUM(root_cancelled_count)::BIGINT AS root_cancelled_count,
        SUM(prompt_count)::BIGINT AS prompt_count,
        SUM(prompt_failed_count)::BIGINT AS prompt_failed_count,
        SUM(priced_count)::BIGINT AS priced_count,
        SUM(unpriced_count)::BIGINT AS unpriced_count,
        SUM(tokens_input) AS tokens_input,
        SUM(tokens_output) AS tokens_output,
        SUM(tokens_cache_read) AS tokens_cache_read,
        SUM(tokens_cache_write) AS tokens_cache_write,
        SUM(cost_usd) AS cost_usd
    FROM session_totals WHERE session_totals.session_id = session_starts.session_id
) AS totals
WHERE totals.agent_count > 0 OR session_starts.pruned_at IS NOT NULL;

CREATE OR REPLACE VIEW daily_usage AS
SELECT
    day,
    orchestrator_agent_id,
    model,
    pruned,
    SUM(prompt_count)::BIGINT AS prompt_count,
    SUM(prompt_failed_count)::BIGINT AS prompt_failed_count,
    SUM(priced_count)::BIGINT AS priced_count,
    SUM(unpriced_count)::BIGINT AS unpriced_count,
    SUM(tokens_input) AS tokens_input,
    SUM(tokens_output) AS tokens_output,
    SUM(tokens_cache_read) AS tokens_cache_read,
    SUM(tokens_cache_write) AS tokens_cache_write,
    SUM(cost_usd) AS cost_usd
FROM daily_totals GROUP BY day, orchestrator_agent_id, model, pruned;

CREATE OR REPLACE VIEW agent_postings AS
SELECT
    id AS agent_id,
    session_id,
    started_at,
    COALESCE(completed_at, started_at) AS active_at,
    1 AS agent_count,
    (status NOT IN ('completed', 'failed', 'cancelled'))::INTEGER AS running_count,
    (status = 'failed')::INTEGER AS failed_count,
    (status = 'failed' AND parent_agent_id IS NULL)::INTEGER AS root_failed_count,
    (status = 'cancelled' AND parent_agent_id IS NULL)::INTEGER AS root_cancelled_count
FROM agents;

CREATE OR REPLACE VIEW prompt_postings AS
SELECT
    prompts.id AS prompt_id,
    prompts.agent_id,
    agents.session_id,
    agents.orchestrator_agent_id,
    prompts.created_at,
    to_char(prompts.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') COLLATE "C" AS day,
    COALESCE(prompts.completed_at, prompts.created_at) AS active_at,
    COALESCE(prompts.model_used, '') AS model,
    1 AS prompt_count,
    (prompts.status = 'failed')::INTEGER AS prompt_failed_count,
    (prompts.cost_usd IS NOT NULL)::INTEGER AS priced_count,
    (prompts.cost_usd IS NULL AND prompts.status = 'completed')::INTEGER AS unpriced_count,
    COALESCE(prompts.tokens_input, 0) AS tokens_input,
    COALESCE(prompts.tokens_output, 0) AS tokens_output,
    COALESCE(prompts.tokens_cache_read, 0) AS tokens_cache_read,
    COALESCE(prompts.tokens_cache_write, 0) AS tokens_cache_write,
    COALESCE(prompts.cost_usd, 0) AS cost_usd
FROM prompts JOIN agents ON agents.id = prompts.agent_id
WHERE prompts.cost_usd IS NOT NULL OR prompts.status IN ('completed', 'failed', 'cancelled');

CREATE OR REPLACE FUNCTION recorder_slot() RETURNS SMALLINT LANGUAGE sql STABLE AS $$
    SELECT COALESCE(NULLIF(current_setting('tac_orchestrator.slot', true), '')::SMALLINT, (64 + pg_backend_pid() % 64)::SMALLINT)
$$;

-- A session begins with its first agent. A row is only locked when it is new, or begins earlier than was known.
CREATE OR REPLACE FUNCTION start_session(session TEXT, begun_at TIMESTAMPTZ) RETURNS VOID LANGUAGE sql AS $$
    INSERT INTO session_starts (session_id, started_at)
    SELECT session, begun_at
    WHERE NOT EXISTS (SELECT 1 FROM session_starts WHERE session_id = session AND started_at <= begun_at)
    ON CONFLICT (session_id) DO UPDATE SET started_at = LEAST(session_starts.started_at, excluded.started_at)
$$;

-- Where the first agent begins later after all, or has left, the next in the index is the first. Without any agent there is no
-- session; rows of other slots that are left over add up to nothing.
CREATE OR REPLACE FUNCTION restart_session(session TEXT, begun_at TIMESTAMPTZ) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    first_at TIMESTAMPTZ := (SELECT started_at FROM agents WHERE session_id = session ORDER BY started_at LIMIT 1);
BEGIN
    IF first_at IS NOT NULL THEN
        UPDATE session_starts SET started_at = first_at
        WHERE session_id = session AND started_at = begun_at AND started_at <> first_at AND pruned_at IS NULL;
    ELSE
        DELETE FROM session_starts WHERE session_id = session AND pruned_at IS NULL;
        IF FOUND THEN
            DELETE FROM session_totals WHERE session_id = session AND agent_count = 0 AND running_count = 0 AND prompt_count = 0;
        END IF;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION post_agent(
    session TEXT, status TEXT, is_root BOOLEAN, active_at TIMESTAMPTZ, sign INTEGER
) RETURNS VOID LANGUAGE sql AS $$
    INSERT INTO session_totals (session_id, slot, last_activity_at, agent_count, running_count, failed_count,
                                root_failed_count, root_cancelled_count)
    VALUES (session, recorder_slot(), active_at, sign,
            CASE WHEN status NOT IN ('completed', 'failed', 'cancelled') THEN sign ELSE 0 END,
            CASE WHEN status = 'failed' THEN sign ELSE 0 END,
            CASE WHEN status = 'failed' AND is_root THEN sign ELSE 0 END,
            CASE WHEN status = 'cancelled' AND is_root THEN sign ELSE 0 END)
    ON CONFLICT (session_id, slot) DO UPDATE SET
        last_activity_at = GREATEST(session_totals.last_activity_at, excluded.last_activity_at),
        agent_count = session_totals.agent_count + excluded.agent_count,
        running_count = session_totals.running_count + excluded.running_count,
        failed_count = session_totals.failed_count + excluded.failed_count,
        root_failed_count = session_totals.root_failed_count + excluded.root_failed_count,
        root_cancelled_count = session_totals.root_cancelled_count + excluded.root_cancelled_count
$$;

-- What some prompts count for, added up by agent, day and model. Without an agent_id no agent's cost changes.
DO $$
BEGIN
    CREATE TYPE prompt_posting AS (
        agent_id UUID,
        session_id TEXT,
        orchestrator_agent_id UUID,
        day TEXT,
        model TEXT,
        active_at TIMESTAMPTZ,
        prompt_count BIGINT,
        prompt_failed_count BIGINT,
        priced_count BIGINT,
        unpriced_count BIGINT,
        tokens_input NUMERIC,
        tokens_output NUMERIC,
        tokens_cache_read NUMERIC,
        tokens_cache_write NUMERIC,
        cost_usd NUMERIC
    );
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

CREATE OR REPLACE FUNCTION post_prompts(postings prompt_posting[]) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    UPDATE agents SET cost_usd = CASE
        WHEN posted.priced_count > 0
            OR EXISTS (SELECT 1 FROM prompts WHERE prompts.agent_id = agents.id AND prompts.cost_usd IS NOT NULL)
        THEN COALESCE(agents.cost_usd, 0) + posted.cost_usd END
    FROM (
        SELECT agent_id, SUM(priced_count) AS priced_count, SUM(cost_usd) AS cost_usd
        FROM unnest(postings) WHERE priced_count <> 0 AND agent_id IS NOT NULL GROUP BY agent_id
    ) AS posted
    WHERE agents.id = posted.agent_id;

    INSERT INTO session_totals (session_id, slot, last_activity_at, prompt_count, prompt_failed_count, priced_count,
                                unpriced_count, tokens_input, tokens_output, tokens_cache_read, tokens_cache_write, cost_usd)
    SELECT session_id, recorder_slot(), MAX(active_at), SUM(prompt_count), SUM(prompt_failed_count), SUM(priced_count),
        SUM(unpriced_count), SUM(tokens_input), SUM(tokens_output), SUM(tokens_cache_read), SUM(tokens_cache_write), SUM(cost_usd)
    FROM unnest(postings) GROUP BY session_id ORDER BY session_id
    ON CONFLICT (session_id, slot) DO UPDATE SET
        last_activity_at = GREATEST(session_totals.last_activity_at, excluded.last_activity_at),
        prompt_count = session_totals.prompt_count + excluded.prompt_count,
        prompt_failed_count = session_totals.prompt_failed_count + excluded.prompt_failed_count,
        priced_count = session_totals.priced_count + excluded.priced_count,
        unpriced_count = session_totals.unpriced_count + excluded.unpriced_count,
        tokens_input = session_totals.tokens_input + excluded.tokens_input,
        tokens_output = session_totals.tokens_output + excluded.tokens_output,
        tokens_cache_read = session_totals.tokens_cache_read + excluded.tokens_cache_read,
        tokens_cache_write = session_totals.tokens_cache_write + excluded.tokens_cache_write,
        cost_usd = session_totals.cost_usd + excluded.cost_usd;

    INSERT INTO daily_totals (day, orchestrator_agent_id, model, slot, prompt_count, prompt_failed_count, priced_count,
                              unpriced_count, tokens_input, tokens_output, tokens_cache_read, tokens_cache_write, cost_usd)
    SELECT day, orchestrator_agent_id, model, recorder_slot(), SUM(prompt_count), SUM(prompt_failed_count), SUM(priced_count),
        SUM(unpriced_count), SUM(tokens_input), SUM(tokens_output), SUM(tokens_cache_read), SUM(tokens_cache_write), SUM(cost_usd)
    FROM unnest(postings) GROUP BY day, orchestrator_agent_id, model ORDER BY day, orchestrator_agent_id, model
    ON CONFLICT (day, orchestrator_agent_id, model, pruned, slot) DO UPDATE SET
        prompt_count = daily_totals.prompt_count + excluded.prompt_count,
        prompt_failed_count = daily_totals.prompt_failed_count + excluded.prompt_failed_count,
        priced_count = daily_totals.priced_count + excluded.priced_count,
        unpriced_count = daily_totals.unpriced_count + excluded.unpriced_count,
        tokens_input = daily_totals.tokens_input + excluded.tokens_input,
        tokens_output = daily_totals.tokens_output + excluded.tokens_output,
        tokens_cache_read = daily_totals.tokens_cache_read + excluded.tokens_cache_read,
        tokens_cache_write = daily_totals.tokens_cache_write + excluded.tokens_cache_write,
        cost_usd = daily_totals.cost_usd + excluded.cost_usd;
END $$;

-- All prompts of an agent, for the session and the kind that it leaves or comes to.
CREATE OR REPLACE FUNCTION post_prompts_of(agent UUID, session TEXT, kind UUID, sign INTEGER) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    postings prompt_posting[] := ARRAY(
        SELECT ROW(NULL, session, kind, day, model, MAX(active_at), sign * SUM(prompt_count), sign * SUM(prompt_failed_count),
                   sign * SUM(priced_count), sign * SUM(unpriced_count), sign * SUM(tokens_input), sign * SUM(tokens_output),
                   sign * SUM(tokens_cache_read), sign * SUM(tokens_cache_write), sign * SUM(cost_usd))::prompt_posting
        FROM prompt_postings WHERE agent_id = agent GROUP BY day, model
    );
BEGIN
    IF cardinality(postings) > 0 THEN
        PERFORM post_prompts(postings);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION post_new_agent() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM start_session(NEW.session_id, NEW.started_at);
    PERFORM post_agent(NEW.session_id, NEW.status, NEW.parent_agent_id IS NULL, COALESCE(NEW.completed_at, NEW.started_at), 1);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER agents_insert_totals AFTER INSERT ON agents
FOR EACH ROW EXECUTE FUNCTION post_new_agent();

-- An agent that moves to another session or kind takes what its prompts count for along.
CREATE OR REPLACE FUNCTION post_changed_agent() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.session_id <> OLD.session_id OR NEW.orchestrator_agent_id <> OLD.orchestrator_agent_id THEN
        PERFORM post_prompts_of(NEW.id, OLD.session_id, OLD.orchestrator_agent_id, -1);
        PERFORM post_prompts_of(NEW.id, NEW.session_id, NEW.orchestrator_agent_id, 1);
    END IF;
    PERFORM start_session(NEW.session_id, NEW.started_at);
    PERFORM post_agent(OLD.session_id, OLD.status, OLD.parent_agent_id IS NULL, COALESCE(OLD.completed_at, OLD.started_at), -1);
    PERFORM post_agent(NEW.session_id, NEW.status, NEW.parent_agent_id IS NULL, COALESCE(NEW.completed_at, NEW.started_at), 1);
    IF NEW.session_id <> OLD.session_id OR NEW.started_at > OLD.started_at THEN
        PERFORM restart_session(OLD.session_id, OLD.started_at);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER agents_update_totals
AFTER UPDATE OF session_id, orchestrator_agent_id, parent_agent_id, status, started_at, completed_at ON agents
FOR EACH ROW WHEN (
    (OLD.session_id, OLD.orchestrator_agent_id, OLD.parent_agent_id, OLD.status, OLD.started_at, OLD.completed_at)
    IS DISTINCT FROM
    (NEW.session_id, NEW.orchestrator_agent_id, NEW.parent_agent_id, NEW.status, NEW.started_at, NEW.completed_at)
) EXECUTE FUNCTION post_changed_agent();

-- While the agent is still there it can say which totals its prompts belong to. When these go, it is not there any more, and they
-- post nothing.
CREATE OR REPLACE FUNCTION post_leaving_agent() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM post_prompts_of(OLD.id, OLD.session_id, OLD.orchestrator_agent_id, -1);
    PERFORM post_agent(OLD.session_id, OLD.status, OLD.parent_agent_id IS NULL, COALESCE(OLD.completed_at, OLD.started_at), -1);
    RETURN OLD;
END $$;

CREATE OR REPLACE TRIGGER agents_delete_totals BEFORE DELETE ON agents
FOR EACH ROW EXECUTE FUNCTION post_leaving_agent();

CREATE OR REPLACE FUNCTION post_gone_agent() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM restart_session(OLD.session_id, OLD.started_at);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER agents_delete_start AFTER DELETE ON agents
FOR EACH ROW EXECUTE FUNCTION post_gone_agent();

-- Once a statement, however many prompts it concerns. The argument of the trigger is the sign.
CREATE OR REPLACE FUNCTION post_changed_prompts() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    sign INTEGER := TG_ARGV[0];
    postings prompt_posting[] := ARRAY(
        SELECT ROW(changed.agent_id, agents.session_id, agents.orchestrator_agent_id,
                   to_char(changed.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), COALESCE(changed.model_used, ''),
                   MAX(COALESCE(changed.completed_at, changed.created_at)),
                   sign * COUNT(*),
                   sign * COUNT(*) FILTER (WHERE changed.status = 'failed'),
                   sign * COUNT(changed.cost_usd),
                   sign * COUNT(*) FILTER (WHERE changed.cost_usd IS NULL AND changed.status = 'completed'),
                   sign * COALESCE(SUM(changed.tokens_input), 0),
                   sign * COALESCE(SUM(changed.tokens_output), 0),
                   sign * COALESCE(SUM(changed.tokens_cache_read), 0),
                   sign * COALESCE(SUM(changed.tokens_cache_write), 0),
                   sign * COALESCE(SUM(changed.cost_usd), 0))::prompt_posting
        FROM changed JOIN agents ON agents.id = changed.agent_id
        WHERE changed.cost_usd IS NOT NULL OR changed.status IN ('completed', 'failed', 'cancelled')
        GROUP BY changed.agent_id, agents.session_id, agents.orchestrator_agent_id,
            to_char(changed.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), COALESCE(changed.model_used, '')
        ORDER BY changed.agent_id
    );
BEGIN
    IF cardinality(postings) > 0 THEN
        PERFORM post_prompts(postings);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER prompts_insert_totals AFTER INSERT ON prompts
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION post_changed_prompts('1');

CREATE OR REPLACE TRIGGER prompts_update_totals_1_before AFTER UPDATE ON prompts
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION post_changed_prompts('-1');

CREATE OR REPLACE TRIGGER prompts_update_totals_2_after AFTER UPDATE ON prompts
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION post_changed_prompts('1');

CREATE OR REPLACE TRIGGER prompts_delete_totals AFTER DELETE ON prompts
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION post_changed_prompts('-1');

CREATE OR REPLACE FUNCTION count_logs() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log_counts (entity, slot, log_count)
    SELECT TG_ARGV[0], recorder_slot(), TG_ARGV[1]::INTEGER * COUNT(*) FROM changed HAVING COUNT(*) > 0
    ON CONFLICT (entity, slot) DO UPDATE SET log_count = log_counts.log_count + excluded.log_count;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER agent_logs_insert_totals AFTER INSERT ON agent_logs
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_logs('agent_log', '1');

CREATE OR REPLACE TRIGGER agent_logs_delete_totals AFTER DELETE ON agent_logs
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_logs('agent_log', '-1');

CREATE OR REPLACE TRIGGER system_logs_insert_totals AFTER INSERT ON system_logs
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_logs('system_log', '1');

CREATE OR REPLACE TRIGGER system_logs_delete_totals AFTER DELETE ON system_logs
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_logs('system_log', '-1');

-- Who knows the totals of a session or a day and not all of its rows, because some were removed, says so by an INSERT: it adds what
-- the totals lack.
CREATE OR REPLACE FUNCTION complete_session() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_starts (session_id, started_at, pruned_at) VALUES (NEW.session_id, NEW.started_at, NEW.pruned_at)
    ON CONFLICT (session_id) DO UPDATE SET started_at = excluded.started_at, pruned_at = excluded.pruned_at;
    INSERT INTO session_totals AS kept
    SELECT NEW.session_id, recorder_slot(), NEW.last_activity_at,
        NEW.agent_count - COALESCE(SUM(agent_count), 0),
        COALESCE(NEW.running_count, 0) - COALESCE(SUM(running_count), 0),
        NEW.failed_count - COALESCE(SUM(failed_count), 0),
        NEW.root_failed_count - COALESCE(SUM(root_failed_count), 0),
        NEW.root_cancelled_count - COALESCE(SUM(root_cancelled_count), 0),
        NEW.prompt_count - COALESCE(SUM(prompt_count), 0),
        NEW.prompt_failed_count - COALESCE(SUM(prompt_failed_count), 0),
        NEW.priced_count - COALESCE(SUM(priced_count), 0),
        NEW.unpriced_count - COALESCE(SUM(unpriced_count), 0),
        NEW.tokens_input - COALESCE(SUM(tokens_input), 0),
        NEW.tokens_output - COALESCE(SUM(tokens_output), 0),
        NEW.tokens_cache_read - COALESCE(SUM(tokens_cache_read), 0),
        NEW.tokens_cache_write - COALESCE(SUM(tokens_cache_write), 0),
        NEW.cost_usd - COALESCE(SUM(cost_usd), 0)
    FROM session_totals WHERE session_id = NEW.session_id
    ON CONFLICT (session_id, slot) DO UPDATE SET
        last_activity_at = GREATEST(kept.last_activity_at, excluded.last_activity_at),
        agent_count = kept.agent_count + excluded.agent_count,
        running_count = kept.running_count + excluded.running_count,
        failed_count = kept.failed_count + excluded.failed_count,
        root_failed_count = kept.root_failed_count + excluded.root_failed_count,
        root_cancelled_count = kept.root_cancelled_count + excluded.root_cancelled_count,
        prompt_count = kept.prompt_count + excluded.prompt_count,
        prompt_failed_count = kept.prompt_failed_count + excluded.prompt_failed_count,
        priced_count = kept.priced_count + excluded.priced_count,
        unpriced_count = kept.unpriced_count + excluded.unpriced_count,
        tokens_input = kept.tokens_input + excluded.tokens_input,
        tokens_output = kept.tokens_output + excluded.tokens_output,
        tokens_cache_read = kept.tokens_cache_read + excluded.tokens_cache_read,
        tokens_cache_write = kept.tokens_cache_write + excluded.tokens_cache_write,
        cost_usd = kept.cost_usd + excluded.cost_usd;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER sessions_insert INSTEAD OF INSERT ON sessions
FOR EACH ROW EXECUTE FUNCTION complete_session();

CREATE OR REPLACE FUNCTION complete_day() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO daily_totals AS kept
    SELECT NEW.day, NEW.orchestrator_agent_id, NEW.model, NEW.pruned, recorder_slot(),
        NEW.prompt_count - COALESCE(SUM(prompt_count), 0),
        NEW.prompt_failed_count - COALESCE(SUM(prompt_failed_count), 0),
        NEW.priced_count - COALESCE(SUM(priced_count), 0),
        NEW.unpriced_count - COALESCE(SUM(unpriced_count), 0),
        NEW.tokens_input - COALESCE(SUM(tokens_input), 0),
        NEW.tokens_output - COALESCE(SUM(tokens_output), 0),
        NEW.tokens_cache_read - COALESCE(SUM(tokens_cache_read), 0),
        NEW.tokens_cache_write - COALESCE(SUM(tokens_cache_write), 0),
        NEW.cost_usd - COALESCE(SUM(cost_usd), 0)
    FROM daily_totals
    WHERE (day, orchestrator_agent_id, model, pruned) = (NEW.day, NEW.orchestrator_agent_id, NEW.model, NEW.pruned)
    ON CONFLICT (day, orchestrator_agent_id, model, pruned, slot) DO UPDATE SET
        prompt_count = kept.prompt_count + excluded.prompt_count,
        prompt_failed_count = kept.prompt_failed_count + excluded.prompt_failed_count,
        priced_count = kept.priced_count + excluded.priced_count,
        unpriced_count = kept.unpriced_count + excluded.unpriced_count,
        tokens_input = kept.tokens_input + excluded.tokens_input,
        tokens_output = kept.tokens_output + excluded.tokens_output,
        tokens_cache_read = kept.tokens_cache_read + excluded.tokens_cache_read,
        tokens_cache_write = kept.tokens_cache_write + excluded.tokens_cache_write,
        cost_usd = kept.cost_usd + excluded.cost_usd;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER daily_usage_insert INSTEAD OF INSERT ON daily_usage
FOR EACH ROW EXECUTE FUNCTION complete_day();

-- What was there before is reckoned once. A cost that an agent has and its prompts do not account for becomes a prompt of its
-- own, so that the sum stays what it was.

INSERT INTO log_counts (entity, slot, log_count)
SELECT entity, 0, log_count FROM (
    SELECT 'agent_log' AS entity, COUNT(*) AS log_count FROM agent_logs
    UNION ALL SELECT 'system_log', COUNT(*) FROM system_logs
) AS present
WHERE NOT EXISTS (SELECT 1 FROM log_counts);

CREATE TEMPORARY TABLE costs_before ON COMMIT DROP AS
SELECT agents.id, agents.started_at, agents.completed_at,
    agents.cost_usd - COALESCE((SELECT SUM(cost_usd) FROM prompts WHERE prompts.agent_id = agents.id), 0) AS unitemised
FROM agents WHERE NOT EXISTS (SELECT 1 FROM session_starts);

UPDATE agents SET cost_usd = NULL WHERE NOT EXISTS (SELECT 1 FROM session_starts);

DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM costs_before) THEN
        PERFORM start_session(session_id, started_at) FROM agents;
        PERFORM post_agent(session_id, status, parent_agent_id IS NULL, COALESCE(completed_at, started_at), 1) FROM agents;
        PERFORM post_prompts_of(id, session_id, orchestrator_agent_id, 1) FROM agents;
        UPDATE agents SET cost_usd = (SELECT SUM(cost_usd) FROM prompts WHERE prompts.agent_id = agents.id);
        INSERT INTO prompts (id, agent_id, prompt_type, prompt_name, prompt_text, status, cost_usd, cost_source, cost_basis,
                             created_at, completed_at)
        SELECT gen_random_uuid(), id, 'adw', 'unitemised', '', 'completed', unitemised, 'reported',
            'the cost that the agent had, less what its prompts account for', started_at, COALESCE(completed_at, started_at)
        FROM costs_before WHERE unitemised > 0;
    END IF;
END $$;
