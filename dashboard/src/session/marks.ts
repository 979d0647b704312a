/** Prompts, tools and errors of one agent, as marks on its lane. */
import type { AgentLog, Prompt } from '../api/rows'
import { beginning, words } from '../shared/format'
import { money } from '../shared/money'
import { duration, preciseClock } from '../shared/time'
import { moment, place, type Span } from './timeline'

export interface Mark {
  key: string
  kind: 'prompt' | 'tool' | 'error'
  x: string
  width: string
  title: string
  promptId: string | null
}

/** Of marks that lie this close together, in percent, one stands for all. */
const CLOSE = 0.12
const LEAST_WIDTH = 0.35

export function marksOf(prompts: readonly Prompt[], events: readonly AgentLog[], shown: Span, now: number): Mark[] {
  return [...spread(prompts, shown, (prompt) => ofPrompt(prompt, shown, now)), ...spread(events, shown, (log) => ofEvent(log, shown))]
}

function* spread<Row extends { created_at: string; completed_at?: string | null }>(
  rows: readonly Row[],
  shown: Span,
  mark: (row: Row) => Mark,
): Generator<Mark> {
  let reached = -Infinity
  for (const row of rows) {
    const from = place(moment(row.created_at), shown)
    const to = row.completed_at == null ? from : place(moment(row.completed_at), shown)
    if (to < 0 || from > 100 || Math.max(from, to) < reached + CLOSE) continue
    reached = Math.max(from, to)
    yield mark(row)
  }
}

function ofPrompt(prompt: Prompt, shown: Span, now: number): Mark {
  const end = prompt.completed_at === null ? now : moment(prompt.completed_at)
  const from = place(moment(prompt.created_at), shown)
  const width = Math.max(place(end, shown) - from, LEAST_WIDTH)
  const name = prompt.prompt_name ?? words(prompt.prompt_type)
  const facts = [prompt.model_used, duration(end - moment(prompt.created_at)), money(prompt.cost_usd), prompt.error_message]
  return {
    key: prompt.id,
    kind: prompt.status === 'failed' ? 'error' : 'prompt',
    x: `${from}%`,
    width: `${width}%`,
    title: `${name} · ${facts.filter(Boolean).join(' · ')}\n${beginning(prompt.prompt_text)}`,
    promptId: prompt.id,
  }
}

function ofEvent(log: AgentLog, shown: Span): Mark {
  return {
    key: `log-${log.id}`,
    kind: log.log_level === 'ERROR' || log.log_level === 'CRITICAL' ? 'error' : 'tool',
    x: `${place(moment(log.created_at), shown)}%`,
    width: `${LEAST_WIDTH}%`,
    title: `${preciseClock(log.created_at)} ${beginning(log.message)}`,
    promptId: null,
  }
}
