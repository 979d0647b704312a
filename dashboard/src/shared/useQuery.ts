/** What is chosen on a view stands in its address, so that a link leads to the same. */
import { computed, type WritableComputedRef } from 'vue'
import { useRoute, useRouter, type LocationQueryRaw } from 'vue-router'

/** Several choices that are made at once are one change of the address. */
let pending: LocationQueryRaw | null = null

export function useQuery(name: string): WritableComputedRef<string> {
  const route = useRoute()
  const router = useRouter()

  function change(value: string): void {
    if (!pending) {
      pending = { ...route.query }
      queueMicrotask(() => {
        const query = pending ?? {}
        pending = null
        void router.replace({ query, hash: route.hash })
      })
    }
    if (value) pending[name] = value
    else delete pending[name]
  }

  return computed({
    get() {
      const value = route.query[name]
      return typeof value === 'string' ? value : ''
    },
    set: change,
  })
}
