/** One prompt, its agent, what stands around it, and the tools that its answer called. */
import { get } from '../api/client'
import type { Agent, AgentLog, OrchestratorAgent, Prompt } from '../api/rows'

const PAGE = 1000
const MOST = 10_000

export interface PromptView {
  prompt: Prompt
  agent: Agent
  kind: OrchestratorAgent
  tools: AgentLog[]
}

export interface Neighbours {
  previous: string | null
  next: string | null
  /** 3 of 12. */
  place: string
}

export async function readPrompt(id: string, signal: AbortSignal): Promise<PromptView> {
  const prompt = await get('/api/prompts/{id}', { path: { id }, signal })
  const agent = await get('/api/agents/{id}', { path: { id: prompt.agent_id }, signal })
  const [kind, tools] = await Promise.all([
    get('/api/orchestrator-agents/{id}', { path: { id: agent.orchestrator_agent_id }, signal }),
    get('/api/agent-logs', { query: { agent_id: agent.id, log_type: 'tool_call', limit: PAGE }, signal }),
  ])
  const calls = (tools.items as AgentLog[]).filter((log) => log.details?.['prompt_id'] === prompt.id)
  return { prompt, agent, kind, tools: calls.reverse() }
}

/** Among the prompts of its agent. */
export async function readNeighbours(prompt: Prompt, signal: AbortSignal): Promise<Neighbours> {
  const ids: string[] = []
  for (let before: string | null = null; ids.length < MOST; ) {
    const query = { agent_id: prompt.agent_id, brief: true, limit: PAGE, before }
    const page: { items: Prompt[]; next: string | null } = await get('/api/prompts', { query, signal })
    ids.push(...page.items.map((one) => one.id))
    before = page.next
    if (before === null) break
  }
  ids.reverse()
  const at = ids.indexOf(prompt.id)
  if (at < 0) return { previous: null, next: null, place: '' }
  return { previous: ids[at - 1] ?? null, next: ids[at + 1] ?? null, place: `${at + 1} of ${ids.length}` }
}
