/** Asks the server. Paths, parameters and answers have the types of its OpenAPI description. */
import { isLetIn, refusal } from './access'
import { Problem, readProblem } from './problem'
import type { Whole } from './rows'
import type { paths } from './schema'

type Route<P extends keyof paths> = paths[P]['get']
type Query<P extends keyof paths> = Route<P> extends { parameters: { query?: infer Q } } ? NonNullable<Q> : never
type Answer<P extends keyof paths> = Route<P> extends { responses: { 200: { content: { 'application/json': infer A } } } }
  ? Whole<A>
  : never

interface Options<P extends keyof paths> {
  /** What stands for `{name}` in the path. */
  path?: Record<string, string | number>
  query?: Query<P>
  signal?: AbortSignal
}

/** Throws Problem, or the signal's reason. */
export async function get<P extends keyof paths>(path: P, options: Options<P> = {}): Promise<Answer<P>> {
  const { signal } = options
  const broken = (error: unknown): never => {
    throw signal?.aborted ? error : Problem.unreachable()
  }
  const answer = await fetch(address(path, options.path, options.query), signal ? { signal } : {}).catch(broken)
  if (answer.status === 401) isLetIn.value = false
  if (!answer.ok) throw await readProblem(answer)
  refusal.value = null
  // A server that goes away in the middle leaves half an answer.
  return (await answer.json().catch(broken)) as Answer<P>
}

export function address(path: string, names: Record<string, string | number> = {}, query: object = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(names[name])))
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== '') parameters.append(name, String(one))
    }
  }
  return parameters.size ? `${filled}?${parameters}` : filled
}
