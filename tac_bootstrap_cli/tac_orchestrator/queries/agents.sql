-- create --
-- A new run of an agent. Its cost comes from its prompts.
INSERT INTO agents (id, orchestrator_agent_id, session_id, parent_agent_id, status, context, config, started_at, completed_at,
                    error_message, lease_id)
VALUES (:id, :orchestrator_agent_id, :session_id, :parent_agent_id, :status, :context, :config, :started_at, :completed_at,
        :error_message, :lease_id)

-- get --
SELECT agents.* FROM agents WHERE id = :id

-- list --
-- Agents, the newest first.
SELECT agents.* FROM agents WHERE {filters} ORDER BY agents.started_at DESC, agents.id DESC LIMIT :limit

-- list.session_id --
{also}agents.session_id = :session_id

-- list.orchestrator_agent_id --
{also}agents.orchestrator_agent_id = :orchestrator_agent_id

-- list.parent_agent_id --
{also}agents.parent_agent_id = :parent_agent_id

-- list.status --
{also}agents.status = :status

-- list.since --
agents.started_at >= :since

-- list.until --
agents.started_at < :until

-- list.before --
(agents.started_at, agents.id)
    < (SELECT earlier.started_at, earlier.id FROM agents AS earlier WHERE earlier.id = :before)

-- list.until.before --
-- Of two ends that the index may begin at, SQLite takes the first; a page begins at its own.
+agents.started_at < :until AND (agents.started_at, agents.id)
    < (SELECT earlier.started_at, earlier.id FROM agents AS earlier WHERE earlier.id = :before)

-- tree --
-- All agents of a session, each after its parent, with the name of its kind.
SELECT agents.*, orchestrator_agents.name, orchestrator_agents.agent_type
FROM agents JOIN orchestrator_agents ON orchestrator_agents.id = agents.orchestrator_agent_id
WHERE agents.session_id = :session_id
ORDER BY agents.started_at, agents.id

-- update --
UPDATE agents SET {changes} WHERE id = :id

-- log_status --
-- Says what the next statement is about to do, if it does anything.
INSERT INTO agent_logs (agent_id, log_level, log_type, message, details, created_at)
SELECT agents.id, :log_level, 'state_change', agents.status || ' → ' || :status, :details, :created_at
FROM agents
WHERE agents.id = :id AND agents.status <> :status
  AND (agents.status = 'initializing' OR agents.status = 'planning' OR agents.status = 'executing' OR agents.status = 'reviewing')

-- change_status --
-- Only an agent that has not ended changes its state.
UPDATE agents SET {changes} WHERE id = :id
  AND (status = 'initializing' OR status = 'planning' OR status = 'executing' OR status = 'reviewing')

-- log_resume --
INSERT INTO agent_logs (agent_id, log_level, log_type, message, created_at)
SELECT agents.id, 'INFO', 'state_change', agents.status || ' → executing', :created_at
FROM agents WHERE agents.id = :id AND agents.status <> 'executing'

-- resume --
-- The one way back from an end.
UPDATE agents SET status = 'executing', completed_at = NULL, error_message = NULL, lease_id = :lease_id WHERE id = :id

-- delete --
-- The agent's prompts and logs go with it; its sub-agents stay, without a parent.
DELETE FROM agents WHERE id = :id

-- known --
-- Which of these are there already.
SELECT agents.* FROM (VALUES (:id)) AS wanted JOIN agents ON agents.id = wanted.column1

-- save --
-- What a source says of an agent, in full; and the lease of its process, if the source is a part of that.
INSERT INTO agents (id, orchestrator_agent_id, session_id, parent_agent_id, status, context, config, started_at, completed_at,
                    error_message, lease_id)
VALUES (:id, :orchestrator_agent_id, :session_id, :parent_agent_id, :status, :context, :config, :started_at, :completed_at,
        :error_message, :lease_id)
ON CONFLICT (id) DO UPDATE SET
    orchestrator_agent_id = excluded.orchestrator_agent_id, session_id = excluded.session_id,
    parent_agent_id = excluded.parent_agent_id, status = excluded.status, context = excluded.context,
    config = excluded.config, started_at = excluded.started_at, completed_at = excluded.completed_at,
    error_message = excluded.error_message, lease_id = COALESCE(excluded.lease_id, agents.lease_id)

-- let_go --
-- They may go on when the process that has recorded them does not record any more.
UPDATE agents SET lease_id = NULL WHERE lease_id = :lease_id
  AND (status = 'initializing' OR status = 'planning' OR status = 'executing' OR status = 'reviewing')

-- matching --
-- Those whose id begins with what somebody typed.
SELECT id FROM agents WHERE id >= :first AND id < :last ORDER BY id LIMIT :limit
