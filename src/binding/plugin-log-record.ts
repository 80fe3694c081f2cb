/** What a plugin has logged, as the core gives it. */

/** One record of tenon.log. */
export interface PluginLogRecord {
  plugin: string;
  generation: number;
  /** pino's number. */
  level: number;
  message: string;
  fields: Record<string, string>;
  /** Milliseconds since the epoch. */
  time: number;
  /** Of the request that its thread handled. */
  requestId?: string;
  /** What else its thread ran the plugin for: a step of its life, `task 12`, `on_event`. */
  during?: string;
}
