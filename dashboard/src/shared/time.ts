/** Times are shown where the reader is, and in UTC on asking. */
import { onScopeDispose, ref, type Ref } from 'vue'

const DAY = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' })
const DAY_OF_YEAR = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: 'numeric' })
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })

export function inUtc(time: string | number | Date): string {
  return `${new Date(time).toISOString().replace('T', ' ').replace('Z', '')} UTC`
}

export function clock(time: string | number | Date): string {
  return CLOCK.format(new Date(time))
}

/** Of another day than the one that the reader has in mind, which is today's if none is named, with that day. */
export function dayAndClock(time: string, known?: string): string {
  return `${otherDay(time, known)}${clock(time)}`
}

function otherDay(time: string, known?: string): string {
  const date = new Date(time)
  const one = known === undefined ? new Date() : new Date(known)
  if (date.toDateString() === one.toDateString()) return ''
  return `${(date.getFullYear() === new Date().getFullYear() ? DAY : DAY_OF_YEAR).format(date)}, `
}

/** With milliseconds, for what follows closely. */
export function preciseClock(time: string, known?: string): string {
  return `${dayAndClock(time, known)}.${time.slice(20, 23).padEnd(3, '0').replace(/\D/g, '0')}`
}

export function duration(ms: number): string {
  if (ms < 1) return '0 ms'
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = ms / 1000
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return both(minutes, 'min', Math.floor(seconds % 60), 's')
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return both(hours, 'h', minutes % 60, 'min')
  return both(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

function both(large: number, unit: string, small: number, part: string): string {
  return small ? `${large} ${unit} ${small} ${part}` : `${large} ${unit}`
}

export function between(start: string, end: string | number): number {
  return Math.max(new Date(end).getTime() - new Date(start).getTime(), 0)
}

/** Moves on every second, for what still runs. */
export function useNow(): Ref<number> {
  const now = ref(Date.now())
  const timer = window.setInterval(() => (now.value = Date.now()), 1000)
  onScopeDispose(() => clearInterval(timer))
  return now
}

const SPANS: Record<string, number> = { '1h': 1 / 24, '24h': 1, '7d': 7, '30d': 30 }

/** `7d`, as it stands in an address, as the moment that it means now; undefined is any time. */
export function sinceMoment(span: string): string | undefined {
  const days = SPANS[span]
  return days === undefined ? undefined : new Date(Date.now() - days * 86_400_000).toISOString()
}

/** Midnight in UTC so many days ago: costs are kept for whole days. */
export function utcDay(daysAgo: number): string {
  return new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10)
}
