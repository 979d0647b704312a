-- orchestrator_agents --
SELECT orchestrator_agents.* FROM orchestrator_agents WHERE {filters} ORDER BY created_at, id

-- orchestrator_agents.session_id --
orchestrator_agents.id IN (SELECT agents.orchestrator_agent_id FROM agents WHERE agents.session_id = :session_id)

-- agents --
-- Parents before their children, as far as they began before them.
SELECT agents.* FROM agents WHERE {filters} ORDER BY started_at, id

-- agents.session_id --
agents.session_id = :session_id

-- agents.since --
agents.started_at >= :since

-- agents.until --
agents.started_at < :until

-- agents.began_since --
agents.session_id IN (SELECT sessions.session_id FROM sessions WHERE sessions.started_at >= :began_since)

-- agents.began_until --
agents.session_id IN (SELECT sessions.session_id FROM sessions WHERE sessions.started_at < :began_until)

-- prompts --
SELECT prompts.* FROM prompts WHERE {filters} ORDER BY created_at, id

-- prompts.agent_id --
prompts.agent_id = :agent_id

-- prompts.since --
prompts.created_at >= :since

-- prompts.until --
prompts.created_at < :until

-- agent_logs --
SELECT agent_logs.* FROM agent_logs WHERE {filters} ORDER BY created_at, id

-- agent_logs.agent_id --
agent_logs.agent_id = :agent_id

-- agent_logs.since --
agent_logs.created_at >= :since

-- agent_logs.until --
agent_logs.created_at < :until

-- system_logs --
SELECT system_logs.* FROM system_logs WHERE {filters} ORDER BY created_at, id

-- system_logs.since --
system_logs.created_at >= :since

-- system_logs.until --
system_logs.created_at < :until

-- system_logs.began_since --
system_logs.created_at >= :began_since

-- system_logs.began_until --
system_logs.created_at < :began_until

-- sessions --
SELECT sessions.* FROM sessions WHERE {filters} ORDER BY started_at, session_id

-- sessions.session_id --
sessions.session_id = :session_id

-- sessions.since --
sessions.started_at >= :since

-- sessions.until --
sessions.started_at < :until

-- sessions.began_since --
sessions.started_at >= :began_since

-- sessions.began_until --
sessions.started_at < :began_until

-- sessions.pruned --
sessions.pruned_at IS NOT NULL

-- daily_usage --
SELECT daily_usage.* FROM daily_usage WHERE {filters} ORDER BY day, orchestrator_agent_id, model, pruned

-- daily_usage.pruned --
daily_usage.pruned = 1

-- leases --
SELECT leases.* FROM leases WHERE {filters} ORDER BY id

-- leases.session_id --
leases.id IN (SELECT agents.lease_id FROM agents WHERE agents.session_id = :session_id)

-- redactions --
SELECT redactions.* FROM redactions WHERE {filters} ORDER BY day, kind, entity

-- source_files --
SELECT source_files.* FROM source_files WHERE {filters} ORDER BY path

-- count --
SELECT COUNT(*) AS row_count FROM ({counted}) AS counted

-- count_prompts --
-- Those of some agents.
SELECT COUNT(*) AS row_count FROM ({counted}) AS counted JOIN prompts ON prompts.agent_id = counted.id

-- count_agent_logs --
SELECT COUNT(*) AS row_count FROM ({counted}) AS counted JOIN agent_logs ON agent_logs.agent_id = counted.id
