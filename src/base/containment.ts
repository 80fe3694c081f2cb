/** What crashes have led to: what the parent process has decided, and every host that begins is told. */

/** A build that is not loaded because hosts with it crashed. */
export interface HeldBuild {
  /** Id of the plugin. */
  readonly plugin: string;
  /** SHA-256 of the library, hexadecimal; empty when it is not known: then no build of the plugin is loaded. */
  readonly sha256: string;
  /** One sentence for people: what happened, and where. */
  readonly reason: string;
  /** Id of the crash report that has decided it. */
  readonly crash: string;
  /** ISO 8601. */
  readonly since: string;
}

/** What a host must keep to. It is kept in a file of the data directory, over every end of every process. */
export interface Containment {
  /**
   * Plugins that crashed the host too often: none of their routes is served (503 with the reason). One leaves when its content has another
   * hash, or somebody releases it.
   */
  readonly quarantined: readonly HeldBuild[];
  /** Builds that crashed in their probation: the kept build before them is loaded in their place until the content changes. */
  readonly bad: readonly HeldBuild[];
  /** Plugins of isolation `auto` that have certainly ended a host: they run in processes of their own until somebody releases them. */
  readonly demoted?: readonly HeldBuild[] | undefined;
  /** Set when hosts crashed and nobody knows why: no plugin is loaded, the admin API is up. Ends by hand. */
  readonly safeMode?: { readonly reason: string; readonly crash: string; readonly since: string } | undefined;
}

export const nothingContained: Containment = { quarantined: [], bad: [] };
