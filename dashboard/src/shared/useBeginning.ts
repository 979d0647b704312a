/** Of a text that would keep the page busy, the beginning, until somebody asks for the rest. */
import { computed, ref, type ComputedRef } from 'vue'

const FIRST = 300_000

interface Beginning {
  shown: ComputedRef<string>
  /** How many characters are left out. */
  hidden: ComputedRef<number>
  showAll: () => void
}

export function useBeginning(text: () => string): Beginning {
  const isWhole = ref(false)
  const shown = computed(() => (isWhole.value ? text() : text().slice(0, FIRST)))
  return { shown, hidden: computed(() => text().length - shown.value.length), showAll: () => (isWhole.value = true) }
}
