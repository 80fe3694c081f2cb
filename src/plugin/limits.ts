import type { IsolationPlan } from './isolation.js';

/** Times and sizes one generation lives by. */
export interface GenerationLimits {
  /** For one step of its life, ms. */
  lifecycleMs: number;
  /** For all steps until it serves, ms. */
  startupMs: number;
  /** For its calls to end once it is replaced, ms. */
  drainMs: number;
  /** For a request whose route names none, ms. */
  deadlineMs: number;
  /** Request body of a route that names none, bytes. */
  bodyLimit: number;
  /** Pool threads, when the plugin names no number. */
  concurrency: number;
  /** Largest state it may save, bytes. */
  stateLimit: number;
  /** How its code is kept apart; undefined: it runs in this process. */
  isolation?: IsolationPlan | undefined;
  /** How it would be once it has ended the host; undefined: it would not. */
  demotion?: IsolationPlan | undefined;
}

/** Those among a host's settings. */
export function limitsOf(settings: Omit<GenerationLimits, 'isolation' | 'demotion'>): GenerationLimits {
  const { lifecycleMs, startupMs, drainMs, deadlineMs, bodyLimit, concurrency, stateLimit } = settings;
  return { lifecycleMs, startupMs, drainMs, deadlineMs, bodyLimit, concurrency, stateLimit };
}
