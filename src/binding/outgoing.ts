/** Requests of plugins to other servers, as they cross the door to the core. */

/** A request of a plugin to another server, checked by the core; or the word that an earlier one is given up. */
export type OutgoingRequest =
  | {
      number: number;
      cancelled: false;
      plugin: string;
      generation: number;
      /** Number of the request in whose handler or chain it was made; 0 for any other code. */
      request: number;
      /** What is left of its time, milliseconds. */
      deadlineMs: number;
      method: string;
      /** Begins with http:// or https:// and has no user in it; nothing else is known of it. */
      url: string;
      /** name, value, …; names in lower case, one character per byte. None that frames a message. */
      headers: string[];
      body: Buffer;
    }
  | { number: number; cancelled: true };

/** What came of one. */
export type OutgoingAnswer =
  | {
      status: number;
      /** name, value, …; names in lower case, one character per byte. */
      headers: readonly string[];
      /** The body in pieces. */
      body: readonly Buffer[];
    }
  | {
      /** Why there is none: one sentence. */
      message: string;
      /** Whether it was given up, or its deadline passed. */
      cancelled?: boolean;
    };
