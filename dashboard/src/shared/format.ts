/** Numbers for people. */

const SIGNS = [
  [1e12, 'T'],
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const

/** 1,234 is 1.23k; what would round to 1000k is 1M. */
export function short(count: number | null): string {
  if (count === null) return '–'
  for (const [size, sign] of SIGNS) {
    if (count >= size * 0.9995) return `${trimmed(count / size)}${sign}`
  }
  return String(count)
}

function trimmed(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  return value.toFixed(digits).replace(/\.0+$|(\.\d*?)0+$/, '$1')
}

export function whole(count: number): string {
  return count.toLocaleString('en-US')
}

/** Null for what is none, or too large to be exact. */
export function wholeNumber(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null
}

export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${whole(count)} ${count === 1 ? noun : plural}`
}

export function percent(part: number, all: number): string {
  if (all === 0) return '–'
  const value = (100 * part) / all
  return `${value > 0 && value < 1 ? '<1' : part < all && value > 99 ? '>99' : Math.round(value)}%`
}

export function words(name: string): string {
  return name.replaceAll('_', ' ')
}

/** The first lines of a text, on one line. */
export function beginning(text: string, length = 160): string {
  const line = text.slice(0, length * 2).replace(/\s+/g, ' ').trim()
  return line.length > length ? `${line.slice(0, length - 1)}…` : line
}
