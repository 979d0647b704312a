/** Prompts, tools and errors of one agent, as marks on its lane. */
import { isError, type AgentLog, type Prompt } from '../api/rows'
import { beginning, words } from '../shared/format'
import { money } from '../shared/money'
import { duration, preciseClock } from '../shared/time'
import { moment, place, type Span } from './timeline'

export interface Mark {
  kind: 'prompt' | 'tool' | 'error'
  /** In percent of the lane. */
  from: number
  width: number
  of: Prompt | AgentLog
}

export interface Lane {
  marks: Mark[]
  /** All marks of a kind as one path, on a ground of 1000 to 32: many elements make scrolling slow. */
  paths: Record<Mark['kind'], string>
}

/** Of marks that lie this close together, in percent, one stands for all. */
const CLOSE = 0.12
const LEAST_WIDTH = 0.35
const REACH = 0.6

export function laneOf(prompts: readonly Prompt[], events: readonly AgentLog[], shown: Span, now: number): Lane {
  const marks = [
    ...spread(prompts, shown, (prompt) => (prompt.completed_at === null ? now : moment(prompt.completed_at)), kindOfPrompt),
    ...spread(events, shown, (log) => moment(log.created_at), kindOfLog),
  ]
  const paths = { prompt: '', tool: '', error: '' }
  for (const mark of marks) paths[mark.kind] += pathOf(mark)
  return { marks, paths }
}

function* spread<Row extends Prompt | AgentLog>(
  rows: readonly Row[],
  shown: Span,
  endOf: (row: Row) => number,
  kindOf: (row: Row) => Mark['kind'],
): Generator<Mark> {
  let reached = -Infinity
  for (const row of rows) {
    const from = place(moment(row.created_at), shown)
    const to = Math.max(place(endOf(row), shown), from)
    if (to < 0 || from > 100 || to < reached + CLOSE) continue
    reached = to
    yield { kind: kindOf(row), from, width: Math.max(to - from, LEAST_WIDTH), of: row }
  }
}

function kindOfPrompt(prompt: Prompt): Mark['kind'] {
  return prompt.status === 'failed' ? 'error' : 'prompt'
}

function kindOfLog(log: AgentLog): Mark['kind'] {
  return isError(log) ? 'error' : 'tool'
}

function pathOf({ kind, from, width }: Mark): string {
  const [top, height] = kind === 'prompt' ? [11, 10] : [5, 22]
  return `M${(from * 10).toFixed(2)} ${top}h${(width * 10).toFixed(2)}v${height}h${(-width * 10).toFixed(2)}z`
}

/** The mark at this place; of several, the last, which lies on top. */
export function markAt(lane: Lane, percent: number): Mark | undefined {
  return lane.marks.findLast(({ from, width }) => percent >= from - REACH / 2 && percent <= from + width + REACH / 2)
}

export function isPrompt(row: Prompt | AgentLog): row is Prompt {
  return 'prompt_text' in row
}

export function titleOf(row: Prompt | AgentLog): string {
  if (!isPrompt(row)) return `${preciseClock(row.created_at)} ${beginning(row.message)}`
  const took = row.completed_at === null ? null : duration(moment(row.completed_at) - moment(row.created_at))
  const facts = [row.prompt_name ?? words(row.prompt_type), row.model_used, took, money(row.cost_usd), row.error_message]
  return `${facts.filter(Boolean).join(' · ')}\n${beginning(row.prompt_text)}`
}
