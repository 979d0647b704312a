/** Something that is loaded, and what went wrong with it. A server that is away is asked again until it is back. */
import { onScopeDispose, ref, shallowRef, type Ref, type ShallowRef } from 'vue'

import { Problem } from '../api/problem'

interface Loaded<T> {
  value: ShallowRef<T | null>
  problem: Ref<Problem | null>
  /** An answer that comes after a later question was asked is dropped. */
  load(): Promise<void>
}

const REST_MS = 2000

export function useLoaded<T>(ask: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const value = shallowRef<T | null>(null)
  const problem = ref<Problem | null>(null)
  let controller = new AbortController()
  let timer = 0
  onScopeDispose(() => {
    controller.abort()
    clearTimeout(timer)
  })

  async function load(): Promise<void> {
    controller.abort()
    clearTimeout(timer)
    const own = (controller = new AbortController())
    try {
      const found = await ask(own.signal)
      if (!own.signal.aborted) [value.value, problem.value] = [found, null]
    } catch (error) {
      if (own.signal.aborted) return
      if (!(error instanceof Problem)) throw error
      problem.value = error
      if (error.isUnreachable) timer = window.setTimeout(() => void load(), REST_MS)
    }
  }

  return { value, problem, load }
}
