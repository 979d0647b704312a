/** Why sessions failed, asked for those that are looked at. */
import { shallowReactive } from 'vue'

import { get } from '../api/client'

const known = shallowReactive(new Map<string, string | null>())

/** Undefined while it is not known yet. */
export function failureOf(sessionId: string): string | null | undefined {
  if (!known.has(sessionId)) void ask(sessionId)
  return known.get(sessionId)
}

async function ask(sessionId: string): Promise<void> {
  // The newest failure is the innermost agent's: those that wait for it fail after it, but began before it.
  const page = await get('/api/agents', { query: { session_id: sessionId, status: 'failed', limit: 1 } }).catch(() => null)
  if (page) known.set(sessionId, page.items[0]?.error_message ?? null)
}
