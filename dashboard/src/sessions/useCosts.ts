/** What was spent lately. */
import { computed, type ComputedRef, type Ref } from 'vue'

import { get } from '../api/client'
import type { Problem } from '../api/problem'
import type { Usage } from '../api/rows'
import { units } from '../shared/money'
import { useThrottled } from '../shared/throttle'
import { utcDay } from '../shared/time'
import { useLoaded } from '../shared/useLoaded'

export const COST_DAYS = 14
const REST_MS = 2000

export interface Amount {
  label: string
  cost: bigint | null
  unpriced: number
  prompts: number
}

interface Costs {
  /** Every day, the oldest first, those without a prompt too. */
  days: ComputedRef<Amount[]>
  models: ComputedRef<Amount[]>
  today: ComputedRef<Amount>
  week: ComputedRef<Amount>
  isLoaded: ComputedRef<boolean>
  problem: Ref<Problem | null>
  refresh: () => void
}

export function useCosts(): Costs {
  const loaded = useLoaded(async (signal) => {
    const query = { since: `${utcDay(COST_DAYS - 1)}T00:00:00Z` }
    const [days, models] = await Promise.all([
      get('/api/costs', { query: { ...query, by: 'day' }, signal }),
      get('/api/costs', { query: { ...query, by: 'model', limit: 20 }, signal }),
    ])
    return { days, models }
  })
  const refresh = useThrottled(() => void loaded.load(), REST_MS)
  refresh()

  const days = computed(() => {
    const found = new Map(loaded.value.value?.days.map((row) => [row.group, row]))
    return Array.from({ length: COST_DAYS }, (_, place) => {
      const day = utcDay(COST_DAYS - 1 - place)
      const row = found.get(day)
      return row ? amount(row) : { label: day, cost: null, unpriced: 0, prompts: 0 }
    })
  })

  return {
    days,
    models: computed(() => (loaded.value.value?.models ?? []).map(amount)),
    today: computed(() => total('Today', days.value.slice(-1))),
    week: computed(() => total('7 days', days.value.slice(-7))),
    isLoaded: computed(() => loaded.value.value !== null),
    problem: loaded.problem,
    refresh,
  }
}

function amount(row: Usage): Amount {
  return {
    label: row.group,
    cost: row.cost_usd === null ? null : units(row.cost_usd),
    unpriced: row.unpriced_count,
    prompts: row.prompt_count,
  }
}

function total(label: string, amounts: readonly Amount[]): Amount {
  const known = amounts.map((one) => one.cost).filter((cost) => cost !== null)
  return {
    label,
    cost: known.length ? known.reduce((one, other) => one + other) : null,
    unpriced: amounts.reduce((count, one) => count + one.unpriced, 0),
    prompts: amounts.reduce((count, one) => count + one.prompts, 0),
  }
}
