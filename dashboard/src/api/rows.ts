/** The rows of the store, as the server answers them: what is unknown is null, money is decimal text, times are in UTC. */
import type { components } from './schema'

type Schemas = components['schemas']

/** A server that answers leaves no field out; its description says only which may be left out when they are sent. */
export type Whole<T> = T extends readonly (infer Item)[]
  ? Whole<Item>[]
  : T extends object
    ? { [Key in keyof T]-?: Whole<T[Key]> }
    : T

export type Session = Whole<Schemas['Session']>
export type Agent = Whole<Schemas['Agent']>
export type AgentNode = Whole<Schemas['AgentNode']>
export type Prompt = Whole<Schemas['Prompt']>
export type AgentLog = Whole<Schemas['AgentLog']> & { id: number }
export type SystemLog = Whole<Schemas['SystemLog']> & { id: number }
export type OrchestratorAgent = Whole<Schemas['OrchestratorAgent']>
export type Usage = Whole<Schemas['Usage']>
export type DailyUsage = Whole<Schemas['DailyUsage']>
export type Examination = Whole<Schemas['Examination']>
export type Finding = Whole<Schemas['Finding']>
export type KindUsage = Whole<Schemas['KindUsage']>
export type SearchHit = Whole<Schemas['SearchHit']>

export type SessionStatus = Session['status']
export type AgentStatus = Agent['status']
export type LogLevel = AgentLog['log_level']
export type LogType = AgentLog['log_type']

export const SESSION_STATUSES: readonly SessionStatus[] = ['running', 'completed', 'failed', 'cancelled']
export const LOG_LEVELS: readonly LogLevel[] = ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL']
export const LOG_TYPES: readonly LogType[] = ['state_change', 'milestone', 'error', 'performance', 'tool_call', 'cost_update']

export const ERROR_LEVELS: readonly LogLevel[] = ['ERROR', 'CRITICAL']

const ENDED: readonly string[] = ['completed', 'failed', 'cancelled']

export function isRunning(row: { status: string }): boolean {
  return !ENDED.includes(row.status)
}

export function isError(log: { log_level: LogLevel }): boolean {
  return ERROR_LEVELS.includes(log.log_level)
}
