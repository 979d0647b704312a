/** Whether this browser was let in, and how it is. */
import { ref, shallowRef } from 'vue'

import { Problem, readProblem } from './problem'

export const isLetIn = ref(true)

/** Why the link that led here let nobody in, until the server answers all the same. */
export const refusal = shallowRef<Problem | null>(null)

/** The code of a link is good once: it goes out of the address, so that neither history nor a copied link holds it. */
export function takeCode(): string | null {
  const found = /^#login=(.+)$/.exec(location.hash)?.[1]
  if (found === undefined) return null
  history.replaceState(null, '', location.pathname + location.search)
  return decoded(found)
}

/** A link that was cut off, or mistyped, is one that does not let in. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** `code` is that of a link, or the token. Throws Problem. */
export async function logIn(code: string): Promise<void> {
  const answer = await fetch('/api/login', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ code }),
  }).catch(() => {
    throw Problem.unreachable()
  })
  if (!answer.ok) throw await readProblem(answer)
  isLetIn.value = true
}
