/** All of a session that is shown, as it changes. */
import { computed, onScopeDispose, ref, shallowRef, triggerRef, type ComputedRef, type Ref, type ShallowRef } from 'vue'

import { get } from '../api/client'
import { useLive, type Change } from '../api/live'
import { Problem } from '../api/problem'
import type { AgentLog, AgentNode, LogLevel, Prompt, Session } from '../api/rows'
import { ERROR_LEVELS, isError, isRunning } from '../api/rows'
import { useThrottled } from '../shared/throttle'
import { treeOf, type Branch } from './tree'

const PAGE = 1000
const MOST_PROMPTS = 20_000
const MOST_TOOLS = 5_000
const REST_MS = 100
/** Thousands of agents take the server a tenth of this. */
const COUNTS_REST_MS = 1000

/** The same for all, so that a lane without marks is not drawn anew. */
const NONE: readonly never[] = []

export interface SessionView {
  session: ShallowRef<Session | null>
  agents: ShallowRef<Map<string, AgentNode>>
  /** The oldest first. */
  prompts: ComputedRef<Prompt[]>
  promptsOf: (agentId: string) => readonly Prompt[]
  /** Calls of tools, and errors. */
  eventsOf: (agentId: string) => readonly AgentLog[]
  roots: ComputedRef<Branch[]>
  isRunning: ComputedRef<boolean>
  areAgentsLoaded: Ref<boolean>
  areAllPrompts: Ref<boolean>
  problem: Ref<Problem | null>
  load(): Promise<void>
}

export function useSession(sessionId: string, onLogs: (logs: AgentLog[]) => void, onLoad: () => void): SessionView {
  const session = shallowRef<Session | null>(null)
  const agents = shallowRef(new Map<string, AgentNode>())
  const promptMap = shallowRef(new Map<string, Prompt>())
  const events = shallowRef(new Map<number, AgentLog>())
  const areAgentsLoaded = ref(false)
  const areAllPrompts = ref(false)
  const problem = ref<Problem | null>(null)
  let isOver = false
  onScopeDispose(() => (isOver = true))

  const prompts = computed(() => [...promptMap.value.values()].sort(byTime))
  const promptGroups = computed(() => groupedByAgent(prompts.value))
  const eventGroups = computed(() => groupedByAgent([...events.value.values()].sort(byTime)))
  const promptsOf = (agentId: string): readonly Prompt[] => promptGroups.value.get(agentId) ?? NONE
  const roots = computed(() => treeOf(agents.value.values(), areAllPrompts.value ? promptsOf : () => null))

  async function load(): Promise<void> {
    try {
      const path = { session_id: sessionId }
      const [, tree] = await Promise.all([
        // Of thousands of agents the tree takes its time; the logs need not wait for it.
        get('/api/sessions/{session_id}', { path }).then((found) => (session.value = found)),
        get('/api/agents/tree', { query: path }),
      ])
      agents.value = new Map(tree.map((agent) => [agent.id, agent]))
      areAgentsLoaded.value = true
      problem.value = null
      onLoad()
      await Promise.all([loadPrompts(), loadEvents()])
    } catch (error) {
      failed(error)
    }
  }

  function failed(error: unknown): void {
    if (!(error instanceof Problem)) throw error
    problem.value = error
    // It was removed, and what it was is no longer so.
    if (error.status === 404) session.value = null
  }

  async function loadPrompts(): Promise<void> {
    const found = new Map<string, Prompt>()
    areAllPrompts.value = await allPages(MOST_PROMPTS, (before) => promptPage(sessionId, before), (rows) => {
      for (const row of rows) found.set(row.id, row)
      promptMap.value = new Map(found)
    })
  }

  async function loadEvents(): Promise<void> {
    const found = new Map<number, AgentLog>()
    const keep = (rows: readonly AgentLog[]): void => {
      for (const row of rows) found.set(row.id, row)
      events.value = new Map(found)
    }
    await Promise.all([
      allPages(MOST_TOOLS, (before) => eventPage(sessionId, { log_type: 'tool_call' }, before), keep),
      ...ERROR_LEVELS.map((log_level) => allPages(PAGE, (before) => eventPage(sessionId, { log_level }, before), keep)),
    ])
  }

  async function allPages<Row>(
    most: number,
    ask: (before: string | null) => Promise<{ items: Row[]; next: string | null }>,
    take: (rows: Row[]) => void,
  ): Promise<boolean> {
    let next: string | null = null
    for (let count = 0; count < most && !isOver; ) {
      const page = await ask(next)
      take(page.items)
      count += page.items.length
      next = page.next
      if (next === null) return true
    }
    return false
  }

  const refreshTotals = useThrottled(() => {
    get('/api/sessions/{session_id}', { path: { session_id: sessionId } }).then(
      (found) => (session.value = found),
      (error: unknown) => {
        // Of a server that is away, the connection's banner tells.
        if (!(error instanceof Problem && error.isUnreachable)) failed(error)
      },
    )
  }, REST_MS)

  /** The server tells of an agent when that changes its state, and not with each prompt: what they add up to is asked for. */
  const refreshCounts = useThrottled(() => {
    get('/api/agents/tree', { query: { session_id: sessionId } }).then(takeCounts, () => undefined)
  }, COUNTS_REST_MS)

  /** Only the counts: what else the answer says may be older than what has been told meanwhile. */
  function takeCounts(tree: AgentNode[]): void {
    for (const { id, prompt_count, tokens_input, tokens_output, cost_usd } of tree) {
      const agent = agents.value.get(id)
      if (agent) agents.value.set(id, { ...agent, prompt_count, tokens_input, tokens_output, cost_usd })
    }
    showSoon()
  }

  /** However many changes come, what is shown is computed once a frame. */
  let frame = 0
  function showSoon(): void {
    frame ||= requestAnimationFrame(() => {
      frame = 0
      for (const one of [agents, promptMap, events]) triggerRef(one)
    })
  }

  function apply(changes: Change[]): void {
    const logs: AgentLog[] = []
    for (const change of changes) {
      if (change.entity === 'agent') changeRow(agents.value, change.row_id, change.row)
      else if (change.entity === 'prompt') changeRow(promptMap.value, change.row_id, change.row)
      else if (change.entity === 'agent_log') {
        if (change.row) logs.push(change.row)
        if (change.row === null || isEvent(change.row)) changeRow(events.value, Number(change.row_id), change.row)
      }
    }
    showSoon()
    // It was looked for before it began.
    if (session.value === null) void load()
    if (logs.length) onLogs(logs)
    if (changes.some((change) => change.entity !== 'agent_log')) refreshTotals()
    if (!areAllPrompts.value && changes.some((change) => change.entity === 'prompt')) refreshCounts()
  }

  useLive({ session_id: sessionId, entity: ['agent', 'prompt', 'agent_log'] }, { load, apply, problem })

  return {
    session,
    agents,
    prompts,
    promptsOf,
    eventsOf: (agentId) => eventGroups.value.get(agentId) ?? NONE,
    roots,
    isRunning: computed(() => [...agents.value.values()].some(isRunning)),
    areAgentsLoaded,
    areAllPrompts,
    problem,
    load,
  }
}

function changeRow<Key, Row>(rows: Map<Key, Row>, key: Key, row: Row | null): void {
  if (row === null) rows.delete(key)
  else rows.set(key, row)
}

function isEvent(log: AgentLog): boolean {
  return log.log_type === 'tool_call' || isError(log)
}

function promptPage(sessionId: string, before: string | null): Promise<{ items: Prompt[]; next: string | null }> {
  return get('/api/prompts', { query: { session_id: sessionId, brief: true, limit: PAGE, before } })
}

async function eventPage(
  sessionId: string,
  filter: { log_type: 'tool_call' } | { log_level: LogLevel },
  before: string | null,
): Promise<{ items: AgentLog[]; next: string | null }> {
  const number = before === null ? null : Number(before)
  const page = await get('/api/agent-logs', { query: { session_id: sessionId, ...filter, limit: PAGE, before: number } })
  return { items: page.items as AgentLog[], next: page.next }
}

function byTime(one: { created_at: string; id: string | number }, other: { created_at: string; id: string | number }): number {
  if (one.created_at !== other.created_at) return one.created_at < other.created_at ? -1 : 1
  return one.id < other.id ? -1 : 1
}

function groupedByAgent<Row extends { agent_id: string }>(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    const group = groups.get(row.agent_id)
    if (group) group.push(row)
    else groups.set(row.agent_id, [row])
  }
  return groups
}
