/** The agents of a session as a tree, with what each and all below it took. */
import type { AgentNode, Prompt } from '../api/rows'
import { isRunning } from '../api/rows'
import { sum, units } from '../shared/money'

export interface Totals {
  prompts: number
  tokensInput: number
  tokensOutput: number
  /** In hundred-millionths of a dollar; null while none is known. */
  cost: bigint | null
  unpriced: number
  failed: number
  running: number
}

export interface Branch {
  agent: AgentNode
  depth: number
  children: Branch[]
  /** Of the agent's own prompts. */
  own: Totals
  /** With those of all agents below. */
  total: Totals
}

/** Parents before their children, siblings by their start. An agent whose parent is elsewhere is a root; so is one of a circle. */
export function treeOf(agents: Iterable<AgentNode>, promptsOf: (agentId: string) => readonly Prompt[] | null): Branch[] {
  const branches = new Map<string, Branch>()
  for (const agent of [...agents].sort(byStart)) {
    const own = ownTotals(agent, promptsOf(agent.id))
    branches.set(agent.id, { agent, depth: 0, children: [], own, total: own })
  }
  const roots: Branch[] = []
  for (const branch of branches.values()) {
    const parent = branches.get(branch.agent.parent_agent_id ?? '')
    if (parent && !isBelow(parent, branch, branches)) parent.children.push(branch)
    else roots.push(branch)
  }
  for (const branch of inOrder(roots)) for (const child of branch.children) child.depth = branch.depth + 1
  for (const branch of [...inOrder(roots)].reverse()) branch.total = branch.children.reduce(added, branch.own)
  return roots
}

/** A loop rather than recursion: a tree may be deeper than the stack. */
export function* inOrder(roots: readonly Branch[], isOpen: (branch: Branch) => boolean = () => true): Generator<Branch> {
  const waiting = [...roots].reverse()
  for (let branch = waiting.pop(); branch; branch = waiting.pop()) {
    yield branch
    if (isOpen(branch)) waiting.push(...[...branch.children].reverse())
  }
}

function byStart(one: AgentNode, other: AgentNode): number {
  if (one.started_at !== other.started_at) return one.started_at < other.started_at ? -1 : 1
  return one.id < other.id ? -1 : 1
}

function isBelow(branch: Branch, other: Branch, branches: ReadonlyMap<string, Branch>): boolean {
  const seen = new Set<Branch>()
  for (let one: Branch | undefined = branch; one && !seen.has(one); one = branches.get(one.agent.parent_agent_id ?? '')) {
    if (one === other) return true
    seen.add(one)
  }
  return false
}

/** From the prompts where they are all there; what the server counted, where they are not. */
function ownTotals(agent: AgentNode, prompts: readonly Prompt[] | null): Totals {
  const state = { failed: Number(agent.status === 'failed'), running: Number(isRunning(agent)) }
  const cost = agent.cost_usd === null ? null : units(agent.cost_usd)
  if (prompts === null) {
    const counted = { prompts: agent.prompt_count, tokensInput: agent.tokens_input ?? 0, tokensOutput: agent.tokens_output ?? 0 }
    return { ...counted, ...state, cost, unpriced: 0 }
  }
  return {
    ...state,
    // A prompt is told of when it is answered, its agent when that changes its state.
    cost: sum(prompts.map((one) => one.cost_usd)) ?? cost,
    prompts: prompts.length,
    tokensInput: prompts.reduce((count, one) => count + (one.tokens_input ?? 0), 0),
    tokensOutput: prompts.reduce((count, one) => count + (one.tokens_output ?? 0), 0),
    unpriced: prompts.filter((one) => one.status === 'completed' && one.cost_usd === null).length,
  }
}

function added(totals: Totals, { total }: Branch): Totals {
  return {
    prompts: totals.prompts + total.prompts,
    tokensInput: totals.tokensInput + total.tokensInput,
    tokensOutput: totals.tokensOutput + total.tokensOutput,
    cost: totals.cost === null ? total.cost : totals.cost + (total.cost ?? 0n),
    unpriced: totals.unpriced + total.unpriced,
    failed: totals.failed + total.failed,
    running: totals.running + total.running,
  }
}
