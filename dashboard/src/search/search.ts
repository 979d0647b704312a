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
const SESSIONS = 8

export async function findAll(text: string, signal: AbortSignal): Promise<Found[]> {
  const [names, hits] = await Promise.all([
    get('/api/search/sessions', { query: { beginning: text, limit: SESSIONS }, signal }),
    get('/api/search', { query: { words: text, limit: LIMIT }, signal }).catch(noneWithoutWord),
  ])
  return [...names.map(ofSession), ...hits.map(ofHit)]
}

/** A text without a letter or a digit holds no word to look for, but a session may be called so. */
function noneWithoutWord(error: unknown): SearchHit[] {
  if (error instanceof Problem && error.status === 422) return []
  throw error
}

function ofSession(name: string): Found {
  return { key: `session-${name}`, kind: 'session', where: name, time: null, excerpt: '', to: sessionPlace(name) }
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
