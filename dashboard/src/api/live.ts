/**
 * What happens in the store, as it happens.
 *
 * The connection comes first, and what is shown is loaded when it stands: what is committed in between is told by both, and
 * missed by neither. A connection that breaks is made again with the last position, and the server tells what came meanwhile.
 */
import { onScopeDispose, readonly, ref, type Ref } from 'vue'

import { address, get } from './client'
import { Problem } from './problem'
import type { AgentLog, AgentNode, OrchestratorAgent, Prompt, SystemLog } from './rows'

interface Place {
  position: string
  row_id: string
  session_id: string | null
  agent_id: string | null
}

type Told<Entity extends string, Row> = Place & { entity: Entity } & (
    | { operation: 'insert' | 'update'; row: Row | null }
    | { operation: 'delete'; row: null }
  )

/** Of a prompt, the texts are only their beginnings. */
export type Change =
  | Told<'agent', AgentNode>
  | Told<'prompt', Prompt>
  | Told<'agent_log', AgentLog>
  | Told<'system_log', SystemLog>
  | Told<'orchestrator_agent', OrchestratorAgent>

export type Entity = Change['entity']

type Frame =
  | { type: 'changes'; position: string; changes: Change[] }
  | { type: 'pulse' | 'reset' | 'late'; position: string }

export interface Interest {
  session_id?: string
  agent_id?: string
  entity?: Entity[]
}

interface Listener {
  load(): Promise<void>
  /** Of loading. What failed since the server could not be reached is loaded again when it can. */
  problem?: Ref<Problem | null>
  apply(changes: Change[]): void
}

const SILENCE_MS = 25_000
const DELAYS_MS = [200, 500, 1000, 2000, 4000]

const state = ref<'connecting' | 'live' | 'gone'>('connecting')
const goneSince = ref<Date | null>(null)
let newest: Feed | null = null

/** Of the feed of the view that is shown. */
export const connection = { state: readonly(state), goneSince: readonly(goneSince), tryNow: () => newest?.tryNow() }

class Feed {
  #socket: WebSocket | null = null
  #position: string | null = null
  #isLoaded = false
  #waiting: Change[] | null = null
  #attempts = 0
  #timer = 0
  #isOver = false

  constructor(
    private readonly interest: Interest,
    private readonly listener: Listener,
  ) {}

  open(): void {
    if (this.#isOver) return
    const query = address('/api/live', {}, { ...this.interest, position: this.#position })
    const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + query)
    this.#socket = socket
    socket.onmessage = (message: MessageEvent<string>) => {
      if (socket === this.#socket) this.#take(JSON.parse(message.data) as Frame)
    }
    socket.onclose = () => {
      if (socket === this.#socket) this.#broken()
    }
    this.#watch()
  }

  close(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#socket?.close()
  }

  tryNow(): void {
    clearTimeout(this.#timer)
    this.#socket?.close()
    this.open()
  }

  /** A connection may end without a word, where a machine sleeps; a server that is there says something every ten seconds. */
  #watch(): void {
    clearTimeout(this.#timer)
    this.#timer = window.setTimeout(() => {
      this.#socket?.close()
      this.#broken()
    }, SILENCE_MS)
  }

  #take(frame: Frame): void {
    this.#watch()
    this.#attempts = 0
    state.value = 'live'
    goneSince.value = null
    if (frame.type === 'reset') this.#forget()
    else this.#position = frame.position
    const isLacking = !this.#isLoaded || this.listener.problem?.value?.isUnreachable
    if (frame.type === 'pulse' && isLacking) void this.#load()
    if (frame.type === 'changes') this.#tell(frame.changes)
  }

  #forget(): void {
    this.#position = null
    this.#isLoaded = false
  }

  #tell(changes: Change[]): void {
    if (this.#waiting) this.#waiting.push(...changes)
    else this.listener.apply(changes)
  }

  async #load(): Promise<void> {
    this.#isLoaded = true
    const waiting: Change[] = (this.#waiting = [])
    try {
      await this.listener.load()
    } finally {
      if (this.#waiting === waiting) this.#waiting = null
      if (waiting.length && !this.#isOver) this.listener.apply(waiting)
    }
  }

  #broken(): void {
    if (this.#isOver) return
    this.#socket = null
    if (this.#attempts > 0 || this.#isLoaded) {
      state.value = 'gone'
      goneSince.value ??= new Date()
    }
    void this.#askWhy()
    const delay = DELAYS_MS[Math.min(this.#attempts++, DELAYS_MS.length - 1)]
    clearTimeout(this.#timer)
    this.#timer = window.setTimeout(() => this.open(), delay)
  }

  /** A socket that is refused does not say why; this does, and a browser that has to log in is told so. */
  async #askWhy(): Promise<void> {
    try {
      await get('/api/sessions', { query: { limit: 1 } })
    } catch (error) {
      if (!(error instanceof Problem)) throw error
    }
  }
}

/** For as long as the view that calls it is shown. `load` reports its own errors. */
export function useLive(interest: Interest, listener: Listener): void {
  const feed = new Feed(interest, listener)
  newest = feed
  feed.open()
  onScopeDispose(() => {
    feed.close()
    if (newest === feed) newest = null
  })
}
