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

-- update --
UPDATE orchestrator_agents SET {changes} WHERE id = :id

-- delete --
-- The agents of this kind go with it, and their prompts and logs.
DELETE FROM orchestrator_agents WHERE id = :id
