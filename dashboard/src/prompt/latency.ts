import type { Prompt } from '../api/rows'
import { between, duration } from '../shared/time'

/** As it was reported; else from the times, which hold what came around the request. */
export function latencyOf(prompt: Prompt): string {
  if (prompt.latency_ms !== null) return duration(prompt.latency_ms)
  return prompt.completed_at === null ? '–' : duration(between(prompt.created_at, prompt.completed_at))
}
