/** What was spent lately: on each day, and on each day by each model. */
import { computed, type ComputedRef, type Ref } from 'vue'

import { get } from '../api/client'
import type { Problem } from '../api/problem'
import type { DailyUsage, Usage } from '../api/rows'
import { units } from '../shared/money'
import { useThrottled } from '../shared/throttle'
import { utcDay } from '../shared/time'
import { useLoaded } from '../shared/useLoaded'

export const COST_DAYS = 14

/** More models than colours that can be told apart: the cheaper ones are one. */
const SHOWN_MODELS = 5
const REST_MS = 2000

export interface Amount {
  label: string
  cost: bigint | null
  unpriced: number
  prompts: number
}

/** One model, or all that are not shown by themselves; `days` as in `Costs`. */
export interface ModelAmount extends Amount {
  days: readonly Amount[]
}

interface Costs {
  /** Every day, the oldest first, those without a prompt too. */
  days: ComputedRef<Amount[]>
  /** The dearest first. */
  models: ComputedRef<ModelAmount[]>
  today: ComputedRef<Amount>
  week: ComputedRef<Amount>
  isLoaded: ComputedRef<boolean>
  problem: Ref<Problem | null>
  refresh: () => void
}

export function useCosts(): Costs {
  const loaded = useLoaded(async (signal) => {
    const query = { since: `${utcDay(COST_DAYS - 1)}T00:00:00Z`, limit: 1000 }
    const [days, models] = await Promise.all([
      get('/api/costs', { query: { ...query, by: 'day' }, signal }),
      get('/api/costs/daily', { query, signal }),
    ])
    return { days: days.map((row) => ({ ...row, day: row.group })), models }
  })
  const refresh = useThrottled(() => void loaded.load(), REST_MS)
  refresh()

  const days = computed(() => byDay(loaded.value.value?.days ?? []))
  return {
    days,
    models: computed(() => byModel(loaded.value.value?.models ?? [])),
    today: computed(() => total('Today', days.value.slice(-1))),
    week: computed(() => total('7 days', days.value.slice(-7))),
    isLoaded: computed(() => loaded.value.value !== null),
    problem: loaded.problem,
    refresh,
  }
}

function byDay(rows: readonly DailyUsage[]): Amount[] {
  return Array.from({ length: COST_DAYS }, (_, place) => {
    const day = utcDay(COST_DAYS - 1 - place)
    return total(day, rows.filter((row) => row.day === day).map(amount))
  })
}

function byModel(rows: readonly DailyUsage[]): ModelAmount[] {
  const all = [...new Set(rows.map((row) => row.group))]
    .map((model) => total(model, rows.filter((row) => row.group === model).map(amount)))
    .sort((one, other) => Number((other.cost ?? -1n) - (one.cost ?? -1n)))
  // One more by itself takes no more room than "1 more".
  const shown = all.length > SHOWN_MODELS + 1 ? all.slice(0, SHOWN_MODELS) : all
  const names = new Set(shown.map((model) => model.label))
  const found = shown.map((model) => ({
    ...model,
    label: model.label || 'no model named',
    days: byDay(rows.filter((row) => row.group === model.label)),
  }))
  const rest = all.slice(shown.length)
  const others = rows.filter((row) => !names.has(row.group))
  return rest.length ? [...found, { ...total(`${rest.length} more`, rest), days: byDay(others) }] : found
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
