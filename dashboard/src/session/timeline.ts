/** Where in time things stand, and which agents the end of the session waited for. */
import type { Agent } from '../api/rows'
import { inOrder, type Branch } from './tree'

/** Milliseconds since 1970. */
export interface Span {
  from: number
  to: number
}

export function moment(time: string): number {
  return new Date(time).getTime()
}

export function spanOfAgent(agent: Agent, now: number): Span {
  const from = moment(agent.started_at)
  return { from, to: Math.max(from, agent.completed_at === null ? now : moment(agent.completed_at)) }
}

/** Of everything; never empty, so that it can be divided by. */
export function spanOfAll(roots: readonly Branch[], now: number): Span {
  let from = Infinity
  let to = -Infinity
  for (const { agent } of inOrder(roots)) {
    const span = spanOfAgent(agent, now)
    from = Math.min(from, span.from)
    to = Math.max(to, span.to)
  }
  if (from > to) return { from: now, to: now + 1 }
  return { from, to: Math.max(to, from + 1) }
}

/** In percent of the span that is shown. */
export function place(time: number, shown: Span): number {
  return (100 * (time - shown.from)) / (shown.to - shown.from)
}

export function zoomed(shown: Span, all: Span, factor: number, around = (shown.from + shown.to) / 2): Span {
  const length = Math.min(Math.max((shown.to - shown.from) * factor, 1), all.to - all.from)
  const share = (around - shown.from) / (shown.to - shown.from)
  return within({ from: around - share * length, to: around + (1 - share) * length }, all)
}

export function moved(shown: Span, all: Span, share: number): Span {
  const by = (shown.to - shown.from) * share
  return within({ from: shown.from + by, to: shown.to + by }, all)
}

function within(span: Span, all: Span): Span {
  const over = Math.max(all.from - span.from, 0) - Math.max(span.to - all.to, 0)
  return { from: Math.max(span.from + over, all.from), to: Math.min(span.to + over, all.to) }
}

const STEPS_S = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 6 * 3600, 86_400, 7 * 86_400]
const PARTS = [1, 2, 5]

/** Round moments within the span, counted from `start`. */
export function ticks(shown: Span, start: number, most: number): number[] {
  const least = (shown.to - shown.from) / most
  const steps = STEPS_S.flatMap((step) => PARTS.map((part) => step * part * 1000))
  const step = steps.find((one) => one >= least) ?? least
  const found: number[] = []
  for (let count = Math.ceil((shown.from - start) / step); start + count * step <= shown.to; count += 1) {
    found.push(start + count * step)
  }
  return found
}

/**
 * The agents that the end waited for: from the last one that ended, backwards, always the child that ended last before.
 * Shortening any other agent would not have made the session shorter.
 */
export function criticalPath(roots: readonly Branch[], now: number): Set<string> {
  const found = new Set<string>()
  const waiting = chain(roots, Infinity, now)
  for (let branch = waiting.pop(); branch; branch = waiting.pop()) {
    found.add(branch.agent.id)
    waiting.push(...chain(branch.children, spanOfAgent(branch.agent, now).to, now))
  }
  return found
}

/** Of agents beside each other, the last, the one that ended last before it began, and so on. */
function chain(branches: readonly Branch[], end: number, now: number): Branch[] {
  const left = new Set(branches)
  const found: Branch[] = []
  for (let one = lastOf(left, end, now); one; one = lastOf(left, spanOfAgent(one.agent, now).from, now)) {
    left.delete(one)
    found.push(one)
  }
  return found
}

function lastOf(branches: Iterable<Branch>, before: number, now: number): Branch | undefined {
  let last: Branch | undefined
  let end = -Infinity
  for (const branch of branches) {
    const { to } = spanOfAgent(branch.agent, now)
    if (to <= before + 1 && to > end) [last, end] = [branch, to]
  }
  return last
}
