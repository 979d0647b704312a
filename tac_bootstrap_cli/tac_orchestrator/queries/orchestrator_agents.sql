-- create --
-- A new kind of agent.
INSERT INTO orchestrator_agents (id, name, description, agent_type, capabilities, default_model, created_at, updated_at)
VALUES (:id, :name, :description, :agent_type, :capabilities, :default_model, :created_at, :updated_at)

-- register --
-- A kind of agent, if there is none of this name yet. One that exists keeps what its owner gave it.
INSERT INTO orchestrator_agents (id, name, description, agent_type, capabilities, default_model, created_at, updated_at)
VALUES (:id, :name, :description, :agent_type, :capabilities, :default_model, :created_at, :updated_at)
ON CONFLICT (name) DO NOTHING

-- get --
SELECT orchestrator_agents.* FROM orchestrator_agents WHERE id = :id

-- find --
-- By the name that people use.
SELECT orchestrator_agents.* FROM orchestrator_agents WHERE name = :name

-- list --
-- All kinds of agents by name. There are few, so that no index is spent on their type.
SELECT orchestrator_agents.* FROM orchestrator_agents WHERE {filters} ORDER BY name LIMIT :limit

-- list.agent_type --
agent_type = :agent_type

-- list.before --
name > (SELECT earlier.name FROM orchestrator_agents AS earlier WHERE earlier.id = :before)

-- usage --
-- Every kind by name, with its runs since a time.
SELECT orchestrator_agents.*, COUNT(agents.id) AS agent_count,
    COALESCE(SUM(CASE WHEN agents.status = 'completed' THEN 1 ELSE 0 END), 0) AS completed_count,
    COALESCE(SUM(CASE WHEN agents.status = 'failed' THEN 1 ELSE 0 END), 0) AS failed_count,
    COALESCE(SUM(CASE WHEN agents.status = 'cancelled' THEN 1 ELSE 0 END), 0) AS cancelled_count,
    COALESCE(SUM(CASE WHEN agents.status = 'initializing' OR agents.status = 'planning' OR agents.status = 'executing'
        OR agents.status = 'reviewing' THEN 1 ELSE 0 END), 0) AS running_count,
    ROUND(SUM(agents.cost_usd), 8) AS cost_usd
FROM orchestrator_agents
LEFT JOIN agents ON agents.orchestrator_agent_id = orchestrator_agents.id AND agents.started_at >= :since
GROUP BY orchestrator_agents.id ORDER BY orchestrator_agents.name LIMIT :limit

-- update --
UPDATE orchestrator_agents SET {changes} WHERE id = :id

-- delete --
-- The agents of this kind go with it, and their prompts and logs.
DELETE FROM orchestrator_agents WHERE id = :id
