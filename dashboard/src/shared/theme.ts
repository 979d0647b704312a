/** Dark or light, as the system has it, until somebody chooses. */
import { ref } from 'vue'

export type Theme = 'light' | 'dark' | 'system'

const KEY = 'tac-orchestrator-theme'
const ORDER: readonly Theme[] = ['system', 'dark', 'light']

export const theme = ref<Theme>(ORDER.find((one) => one === localStorage.getItem(KEY)) ?? 'system')

export function applyTheme(): void {
  if (theme.value === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme.value
}

export function nextTheme(): void {
  theme.value = ORDER[(ORDER.indexOf(theme.value) + 1) % ORDER.length] ?? 'system'
  localStorage.setItem(KEY, theme.value)
  applyTheme()
}
