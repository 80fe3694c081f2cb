/** What a rehearsed build does: its library is this script as text. */

/** Where it can fail, in the order of a reload; the last ones happen to it as the old generation. */
export type Step =
  | 'build'
  | 'inspect'
  | 'stage'
  | 'trial'
  | 'open'
  | 'create'
  | 'initialize'
  | 'routes'
  | 'try'
  | 'load'
  | 'ready'
  | 'health'
  | 'quiesce'
  | 'save'
  | 'resume'
  | 'shutdown'
  | 'destroy';

export interface Script {
  id: string;
  /** No two builds are alike. */
  serial: number;
  state: boolean;
  quiesces: boolean;
  /** It initializes only when the one before has let go. */
  exclusive: boolean;
  /** Claims a path that the other plugin may claim too. */
  common: boolean;
  /** The step that it refuses. */
  fails: Step | undefined;
  /** The step that misses its deadline. */
  late: Step | undefined;
  /** Whether what was late comes back. */
  returns: boolean;
  /** Its image stays mapped whatever happens. */
  pins: boolean;
  /** Readers under whom its file changes. */
  restless: number;
}

export function libraryOf(script: Script): Buffer {
  return Buffer.from(JSON.stringify(script));
}

export function scriptOf(library: Uint8Array): Script {
  return JSON.parse(Buffer.from(library).toString()) as Script;
}

/** Whether a host that loads it, with nothing before it that runs, serves it, and nothing speaks against it later. */
export function isGood({ fails, late, restless }: Script): boolean {
  const asOld: (Step | undefined)[] = [undefined, 'quiesce', 'save', 'resume', 'shutdown', 'destroy'];
  // One that refuses what was saved begins without it; one that is late with it does not begin.
  return [...asOld, 'try', 'load'].includes(fails) && asOld.includes(late) && restless < 3;
}
