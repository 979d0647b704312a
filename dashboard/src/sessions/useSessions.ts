/** The list of sessions, page by page, as it changes. */
import { computed, ref, shallowRef, type Ref, type ShallowRef } from 'vue'

import { get } from '../api/client'
import { useLive, type Change } from '../api/live'
import { Problem } from '../api/problem'
import type { Session, SessionStatus } from '../api/rows'
import { useThrottled } from '../shared/throttle'
import { sinceMoment } from '../shared/time'

const PAGE = 100
const REST_MS = 200
/** As the server gives at once. */
const MOST = 1000
/** More sessions than this that change at once are read as a page. */
const FEW = 12

export interface SessionFilters {
  status: Ref<string>
  since: Ref<string>
}

interface Sessions {
  rows: Ref<readonly Session[]>
  problem: Ref<Problem | null>
  isLoaded: Ref<boolean>
  /** The first page. */
  load(): Promise<void>
  loadMore(): Promise<void>
}

export function useSessions(filters: SessionFilters, onChange: () => void): Sessions {
  const found: ShallowRef<ReadonlyMap<string, Session>> = shallowRef(new Map())
  const problem = ref<Problem | null>(null)
  const isLoaded = ref(false)
  const changed = new Set<string>()
  let next: string | null = null
  let isLoading = false
  let turn = 0

  const rows = computed(() => [...found.value.values()].sort(newestFirst))

  function query(limit = PAGE): { status?: SessionStatus; since?: string; limit: number } {
    const since = sinceMoment(filters.since.value)
    const status = filters.status.value as SessionStatus | ''
    return { ...(status && { status }), ...(since && { since }), limit }
  }

  /** All that is shown again, and what came before it: somebody may be reading the last of it. */
  function loadShown(): Promise<void> {
    return load(Math.min(found.value.size + PAGE, MOST))
  }

  async function load(limit = PAGE): Promise<void> {
    const own = ++turn
    await reporting(async () => {
      const page = await get('/api/sessions', { query: query(limit) })
      if (own !== turn) return
      next = page.next
      found.value = new Map(page.items.map((row) => [row.session_id, row]))
      isLoaded.value = true
    })
  }

  async function loadMore(): Promise<void> {
    if (next === null || isLoading) return
    isLoading = true
    const own = turn
    await reporting(async () => {
      const page = await get('/api/sessions', { query: { ...query(), before: next } })
      if (own !== turn) return
      next = page.next
      merge(page.items)
    })
    isLoading = false
  }

  async function reporting(action: () => Promise<void>): Promise<void> {
    try {
      await action()
      problem.value = null
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      problem.value = error
    }
  }

  function merge(sessions: readonly Session[], gone: readonly string[] = []): void {
    const merged = new Map(found.value)
    for (const name of gone) merged.delete(name)
    for (const row of sessions) {
      if (isWanted(row)) merged.set(row.session_id, row)
      else merged.delete(row.session_id)
    }
    found.value = merged
  }

  function isWanted(row: Session): boolean {
    const since = sinceMoment(filters.since.value)
    return (!filters.status.value || row.status === filters.status.value) && (!since || row.started_at >= since)
  }

  const refresh = useThrottled(() => void reporting(readChanged), REST_MS)

  async function readChanged(): Promise<void> {
    const names = [...changed]
    changed.clear()
    if (names.length > FEW) return loadShown()
    const read = await Promise.all(names.map(sessionOrNull))
    merge(
      read.filter((row) => row !== null),
      names.filter((_, place) => read[place] === null),
    )
  }

  function apply(changes: Change[]): void {
    if (changes.some((change) => change.operation === 'delete' && change.entity === 'agent')) void loadShown()
    for (const change of changes) if (change.session_id !== null) changed.add(change.session_id)
    if (changed.size) refresh()
    onChange()
  }

  useLive({ entity: ['agent', 'prompt'] }, { load: loadShown, apply, problem })
  return { rows, problem, isLoaded, load: () => load(), loadMore }
}

function newestFirst(one: Session, other: Session): number {
  if (one.started_at !== other.started_at) return one.started_at < other.started_at ? 1 : -1
  return one.session_id < other.session_id ? 1 : -1
}

async function sessionOrNull(name: string): Promise<Session | null> {
  return get('/api/sessions/{session_id}', { path: { session_id: name } }).catch((error: unknown) => {
    if (error instanceof Problem && error.status === 404) return null
    throw error
  })
}
