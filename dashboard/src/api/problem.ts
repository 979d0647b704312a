/** What went wrong, in the server's words. `hint` says what to do now. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly detail: string,
    readonly hint: string | null,
  ) {
    super(detail)
  }

  get isUnreachable(): boolean {
    return this.status === 0
  }

  static unreachable(): Problem {
    return new Problem(0, 'The server does not answer.', 'Start it again: tac-orch serve')
  }
}

export async function readProblem(answer: Response): Promise<Problem> {
  const told = (await answer.json().catch(() => ({}))) as { detail?: unknown; hint?: unknown }
  const detail = typeof told.detail === 'string' ? told.detail : `The server answers ${answer.status} ${answer.statusText}.`
  return new Problem(answer.status, detail, typeof told.hint === 'string' ? told.hint : null)
}
