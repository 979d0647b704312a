/** Finds words in what was recorded, and sessions by their names. */
import type { RouteLocationRaw } from 'vue-router'

import { get } from '../api/client'
import { Problem } from '../api/problem'
import type { SearchHit } from '../api/rows'
import { promptPlace, sessionPlace } from '../router'

export interface Found {
  key: string
  kind: string
  where: string
  time: string | null
  excerpt: string
  to: RouteLocationRaw
}

const LIMIT = 50

export async function findAll(text: string, signal: AbortSignal): Promise<Found[]> {
  const [session, hits] = await Promise.all([
    get('/api/sessions/{session_id}', { path: { session_id: text }, signal }).catch(orNull),
    // A text without a letter or a digit is no word, but may be a session.
    get('/api/search', { query: { words: text, limit: LIMIT }, signal }).catch(orNull),
  ])
  const sessions: Found[] = session
    ? [{ key: 'session', kind: 'session', where: session.session_id, time: session.started_at, excerpt: '', to: sessionPlace(text) }]
    : []
  return [...sessions, ...(hits ?? []).map(ofHit)]
}

/** Not found, or no word to look for. */
function orNull(error: unknown): null {
  if (error instanceof Problem && (error.status === 404 || error.status === 422)) return null
  throw error
}

function ofHit(hit: SearchHit): Found {
  const place = { key: `${hit.entity}-${hit.id}`, time: hit.created_at, excerpt: hit.excerpt }
  if (hit.entity === 'prompt') return { ...place, kind: 'prompt', where: hit.session_id ?? '', to: promptPlace(hit.id) }
  if (hit.session_id === null) {
    return { ...place, kind: 'system log', where: '', to: { name: 'system', query: { log: hit.id } } }
  }
  const query = { view: 'logs', log: hit.id, ...(hit.agent_id && { agent: hit.agent_id }) }
  return { ...place, kind: 'log', where: hit.session_id, to: sessionPlace(hit.session_id, query) }
}

/** The words that were found stand in `⟦` and `⟧`. */
export function excerptParts(excerpt: string): { text: string; isHit: boolean }[] {
  return excerpt
    .split(/(⟦[^⟧]*⟧)/)
    .filter(Boolean)
    .map((part) => (part.startsWith('⟦') ? { text: part.slice(1, -1), isHit: true } : { text: part, isHit: false }))
}
