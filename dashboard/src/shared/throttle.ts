import { onScopeDispose } from 'vue'

/** The first call runs at once; those that come while it rests become one, after it. */
export function useThrottled(action: () => void, restMs: number): () => void {
  let timer = 0
  let isWanted = false
  const run = (): void => {
    isWanted = false
    action()
    timer = window.setTimeout(() => {
      timer = 0
      if (isWanted) run()
    }, restMs)
  }
  onScopeDispose(() => {
    isWanted = false
    clearTimeout(timer)
  })
  return () => {
    if (timer) isWanted = true
    else run()
  }
}
