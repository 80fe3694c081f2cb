/** Answers that are the core's own. */

/** Why the core answered instead of the plugin. */
export const Refusal = {
  /** The live generation has no such route. */
  RouteGone: 1,
  /** The plugin has no live generation. */
  PluginStopped: 2,
  /** More calls wait for this plugin than its limit allows. */
  PluginBusy: 3,
  /** The deadline passed. */
  DeadlineExceeded: 4,
  /** `handle` returned a failure; the message is the plugin's. */
  HandlerFailed: 5,
  /** The response broke the contract. */
  ResponseInvalid: 6,
  /** So many threads of this generation are lost that it gets no more. */
  PluginUnresponsive: 7,
  /** It is not known who asks; the header block has `www-authenticate`. */
  Unauthenticated: 8,
  /** Who asks may not. */
  Forbidden: 9,
  /** An extension that is required does not run, or could not decide. */
  ExtensionUnavailable: 10,
  /** Too many wrong credentials; the header block may have `retry-after`. */
  TooManyAttempts: 11,
  ExtensionFailed: 12,
  /** `handle` failed for want of a permission; the message is the line, a line feed and a sentence. */
  PermissionDenied: 13,
  MemoryOverrun: 14,
  /** Its process ended while it had the call (502), or none runs now (503). */
  ProcessEnded: 15,
} as const;
