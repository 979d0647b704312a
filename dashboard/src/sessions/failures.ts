/** Why sessions failed, asked for those that are looked at. */
import { shallowReactive } from 'vue'

import { get } from '../api/client'
import type { Session } from '../api/rows'

type Failed = Pick<Session, 'session_id' | 'failed_count'>

const known = shallowReactive(new Map<string, string | null>())
/** By how many had failed then: with another one, the reason is another one. */
const asked = new Map<string, number>()

/** Undefined while it is not known yet. */
export function failureOf(session: Failed): string | null | undefined {
  if (asked.get(session.session_id) !== session.failed_count) void ask(session)
  return known.get(session.session_id)
}

async function ask({ session_id, failed_count }: Failed): Promise<void> {
  asked.set(session_id, failed_count)
  // The newest failure is the innermost agent's: those that wait for it fail after it, but began before it.
  const page = await get('/api/agents', { query: { session_id, status: 'failed', limit: 1 } }).catch(() => null)
  if (page) known.set(session_id, page.items[0]?.error_message ?? null)
  else asked.delete(session_id)
}
