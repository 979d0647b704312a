/** Why sessions failed, asked for those that are looked at. */
import { shallowReactive } from 'vue'

import { get } from '../api/client'
import type { Agent, Session } from '../api/rows'

type Failed = Pick<Session, 'session_id' | 'status' | 'failed_count'>

const known = shallowReactive(new Map<string, string | null>())
/** By what had failed then: with another one, the reason is another one. */
const asked = new Map<string, string>()

/** Undefined while it is not known yet. */
export function failureOf(session: Failed): string | null | undefined {
  if (asked.get(session.session_id) !== stateOf(session)) void ask(session)
  return known.get(session.session_id)
}

function stateOf({ status, failed_count }: Failed): string {
  return `${status} ${failed_count}`
}

async function ask(session: Failed): Promise<void> {
  asked.set(session.session_id, stateOf(session))
  const reason = await reasonOf(session).catch(() => undefined)
  if (reason === undefined) asked.delete(session.session_id)
  else known.set(session.session_id, reason)
}

/** The newest failure is the innermost agent's: those that wait for it fail after it, but began before it. */
async function reasonOf({ session_id, status, failed_count }: Failed): Promise<string | null> {
  const innermost = await newest({ session_id, status: 'failed' })
  if (!innermost) return null
  const isSurvived = status === 'failed' && failed_count > 1 && (await wentOnAfter(innermost))
  const failed = isSurvived ? await rootOf(innermost) : innermost
  return failed.error_message ?? innermost.error_message
}

/** Who began somebody after a failure did not fail of that. */
async function wentOnAfter({ session_id, completed_at }: Agent): Promise<boolean> {
  const last = await newest({ session_id })
  return last !== undefined && completed_at !== null && last.started_at > completed_at
}

async function newest(query: { session_id: string; status?: 'failed' }): Promise<Agent | undefined> {
  return (await get('/api/agents', { query: { ...query, limit: 1 } })).items[0]
}

const DEEPEST = 20

async function rootOf(agent: Agent): Promise<Agent> {
  let root = agent
  for (let depth = 0; root.parent_agent_id !== null && depth < DEEPEST; depth += 1) {
    root = await get('/api/agents/{id}', { path: { id: root.parent_agent_id } })
  }
  return root.status === 'failed' ? root : agent
}
