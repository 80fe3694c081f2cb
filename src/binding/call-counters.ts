/** How the calls of one generation ended. A call ends when it is answered, or, when nobody waits, when its handler is through. */
export interface CallCounters {
  /**
   * Calls that ended. Not those that the host refused before a handler's turn (`RouteGone`, `PluginBusy`), nor those that
   * an extension refused, failed or did not answer, nor those of tables.
   */
  calls: number;
  /**
   * Of these: answered with 5xx by the handler, or ended by `HandlerFailed`, `ResponseInvalid`, `DeadlineExceeded` or
   * `PluginUnresponsive`. Not those that the client left.
   */
  faults: number;
  /**
   * Calls that were timed, from the handler's begin to the end of the answer or the deadline: every call of a pool route,
   * each 64th that finds an inline route; no stream, and none that never got a thread.
   */
  samples: number;
  /** Of the samples, microseconds to a sixteenth: what half of them, and what 95 %, did not exceed. Absent without any. */
  p50Us?: number;
  p95Us?: number;
}
