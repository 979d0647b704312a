/** Logs, the newest first: pages of the past, and in front of them what comes. */
import { computed, ref, shallowRef, type ComputedRef, type Ref } from 'vue'

import { Problem } from '../api/problem'

const PAGE = 200
/** Of what came while it was shown, more than this is let go of at the old end. */
const MOST = 20_000

export interface AnyLog {
  id: number
  created_at: string
}

export interface Logs<Log> {
  rows: ComputedRef<readonly Log[]>
  /** What came while `isHeld`: it would move what is being read. */
  heldCount: ComputedRef<number>
  isHeld: Ref<boolean>
  isLoaded: Ref<boolean>
  /** It begins at a log that was asked for: newer ones are not among them. */
  isPast: Ref<boolean>
  problem: Ref<Problem | null>
  load(): Promise<void>
  loadMore(): Promise<void>
  add(logs: readonly Log[]): void
  remove(id: number): void
  showHeld(): void
}

export function useLogs<Log extends AnyLog>(
  ask: (page: { limit: number; before: number | null }) => Promise<{ items: unknown[]; next: string | null }>,
  isWanted: (log: Log) => boolean,
  /** The log to begin at, of which a link tells; else it is the newest. */
  first: () => number | null,
): Logs<Log> {
  const past = shallowRef<readonly Log[]>([])
  const held = shallowRef<readonly Log[]>([])
  const isHeld = ref(false)
  const isLoaded = ref(false)
  const isPast = ref(false)
  const problem = ref<Problem | null>(null)
  let next: number | null = null
  let isAsking = false
  let turn = 0

  async function load(): Promise<void> {
    const own = ++turn
    const log = first()
    await page(log === null ? null : log + 1, own, (rows) => {
      isPast.value = log !== null
      past.value = rows
      held.value = []
      isLoaded.value = true
    })
  }

  async function loadMore(): Promise<void> {
    if (next === null || isAsking) return
    isAsking = true
    await page(next, turn, (rows) => (past.value = merged(past.value, rows)))
    isAsking = false
  }

  async function page(before: number | null, own: number, take: (rows: readonly Log[]) => void): Promise<void> {
    try {
      const found = await ask({ limit: PAGE, before })
      if (own !== turn) return
      next = found.next === null ? null : Number(found.next)
      take(found.items as Log[])
      problem.value = null
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      problem.value = error
    }
  }

  function add(logs: readonly Log[]): void {
    const wanted = isPast.value ? [] : logs.filter(isWanted)
    if (!wanted.length) return
    if (isHeld.value) held.value = merged(held.value, wanted)
    else past.value = merged(past.value, wanted).slice(0, MOST)
  }

  function showHeld(): void {
    past.value = merged(past.value, held.value)
    held.value = []
  }

  return {
    rows: computed(() => past.value),
    heldCount: computed(() => held.value.length),
    isHeld,
    isLoaded,
    isPast,
    problem,
    load,
    loadMore,
    add,
    remove(id) {
      past.value = past.value.filter((log) => log.id !== id)
    },
    showHeld,
  }
}

/** Mostly one is wholly before the other, a page of the past or what has just come: then nothing has to be sorted again. */
function merged<Log extends AnyLog>(one: readonly Log[], more: readonly Log[]): readonly Log[] {
  const other = [...more].sort(newestFirst)
  const [first, last, begin, end] = [one[0], one.at(-1), other[0], other.at(-1)]
  if (!first || !last || !begin || !end) return one.length ? one : other
  if (newestFirst(last, begin) < 0) return [...one, ...other]
  if (newestFirst(end, first) < 0) return [...other, ...one]
  const found = new Map([...one, ...other].map((log) => [log.id, log]))
  return [...found.values()].sort(newestFirst)
}

function newestFirst(one: AnyLog, other: AnyLog): number {
  if (one.created_at !== other.created_at) return one.created_at < other.created_at ? 1 : -1
  return other.id - one.id
}
