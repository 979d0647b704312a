/** Money as whole hundred-millionths of a dollar: sums are exact, as those of the store are. */

const PLACES = 8
const UNIT = 10n ** BigInt(PLACES)

export function units(decimal: string): bigint {
  const [, sign, whole = '0', fraction = '', exponent] = /^(-?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(decimal) ?? []
  if (exponent !== undefined) return units(Number(decimal).toFixed(PLACES))
  const value = BigInt(whole || '0') * UNIT + BigInt(fraction.slice(0, PLACES).padEnd(PLACES, '0'))
  return sign === '-' ? -value : value
}

/** Null if none of them is known. */
export function sum(costs: Iterable<string | null>): bigint | null {
  let total: bigint | null = null
  for (const cost of costs) if (cost !== null) total = (total ?? 0n) + units(cost)
  return total
}

export function dollars(value: bigint): number {
  return Number(value) / Number(UNIT)
}

/** Cents for amounts from a dollar on; below, three digits that say something: $0.00213. */
export function money(cost: string | bigint | null): string {
  if (cost === null) return '–'
  const value = dollars(typeof cost === 'string' ? units(cost) : cost)
  if (value === 0) return '$0'
  // What would round to a dollar, or a tenth of one, is written as that is.
  if (value >= 0.9995) return `$${value.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`
  if (value >= 0.09995) return `$${value.toFixed(3)}`
  return `$${Number(value.toPrecision(3)).toFixed(PLACES).replace(/0+$/, '')}`
}

/** Every digit that is kept. */
export function exactMoney(cost: string | bigint): string {
  const value = typeof cost === 'string' ? units(cost) : cost
  const fraction = String(value % UNIT).padStart(PLACES, '0').replace(/0+$/, '')
  return `$${(value / UNIT).toLocaleString('en-US')}${fraction ? `.${fraction}` : ''}`
}
