/** What a config.yaml, a manifest or the host's settings say of where a plugin's code runs. */

/** `inline`: in the host's process; `process`: in processes of its own; `auto`: in the host's, until it has ended one. */
export const isolationModes = ['inline', 'process', 'auto'] as const;
export type IsolationMode = (typeof isolationModes)[number];

/** What is absent is as for every plugin. */
export interface IsolationWish {
  readonly mode: IsolationMode;
  /** How many processes, 1 to 16. */
  readonly processes?: number;
  /** How long after the deadline of a call its process is killed, ms. */
  readonly graceMs?: number;
  /** Memory of a process for its data, bytes. */
  readonly memory?: number;
  /** Processor time of a process, in percent of one processor. */
  readonly cpu?: number;
  /** Files and sockets it may have open. */
  readonly descriptors?: number;
  /** Processes that it may start. */
  readonly childProcesses?: number;
  /** Whether the kernel confines it. */
  readonly sandbox?: boolean;
  /** Whether it is not to run where the kernel cannot. */
  readonly requireConfinement?: boolean;
  /** Paths that it may write to, absolute or relative to its folder. */
  readonly writable?: readonly string[];
}

/** Undefined when the value is right, else what it should be. */
type Check = (value: unknown) => string | undefined;

const mebibyte = 1024 ** 2;
const mostPaths = 64;

const whole =
  (least: number, most: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : `must be a whole number from ${least} to ${most}`;

const mode: Check = (value) =>
  (isolationModes as readonly unknown[]).includes(value) ? undefined : 'must be inline, process or auto';

const truth: Check = (value) => (typeof value === 'boolean' ? undefined : 'must be true or false');

const paths: Check = (value) => {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) return 'must be a list of paths';
  if (value.length > mostPaths) return `must hold at most ${mostPaths} paths`;
  const odd = value.find((item) => !/^[^\0]{1,1024}$/.test(item));
  return odd === undefined ? undefined : 'must hold paths of 1 to 1024 characters';
};

/** Every key of `isolation` as a mapping. */
export const isolationKeys: Record<keyof IsolationWish, Check> = {
  mode,
  processes: whole(1, 16),
  graceMs: whole(0, 600_000),
  // A process needs some 4 MiB before the plugin has any.
  memory: whole(8 * mebibyte, 1024 ** 2 * mebibyte),
  cpu: whole(1, 100 * 64),
  descriptors: whole(1, 1_000_000),
  childProcesses: whole(0, 100_000),
  sandbox: truth,
  requireConfinement: truth,
  writable: paths,
};

/** Of `isolation` itself, without what is wrong in its keys. */
export const wrongIsolation: Check = (value) => {
  const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (isMapping) return contradiction(value);
  const keys = Object.keys(isolationKeys).join(', ');
  return mode(value) === undefined ? undefined : `${mode({})}, or a mapping of any of ${keys}`;
};

/** What would run unconfined is not to be required to be confined. */
function contradiction({ mode: where, sandbox, requireConfinement }: Partial<IsolationWish>): string | undefined {
  if (requireConfinement !== true) return undefined;
  if (sandbox === false) return 'cannot have `requireConfinement: true` with `sandbox: false`';
  if (where !== 'inline' && where !== 'auto') return undefined;
  return `cannot have \`requireConfinement: true\` with \`mode: ${where}\`, which runs it in the host`;
}

/** Of a value that is right; undefined where there is none. A mapping without `mode` is one of `process`. */
export function readIsolation(value: unknown): IsolationWish | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string') return { mode: value as IsolationMode };
  return { mode: 'process', ...(value as Partial<IsolationWish>) };
}

/** As short as it can be written. */
export function writtenIsolation(wish: IsolationWish): IsolationMode | IsolationWish {
  return Object.keys(wish).length === 1 ? wish.mode : wish;
}
