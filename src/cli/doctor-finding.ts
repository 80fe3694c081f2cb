/** What `tenon doctor` finds, and how it looks: each thing within its time, whatever happens to it. */
import { asTenonError } from '../base/errors.js';

/** `missing`: it has to be got; `failed`: it is there and cannot be used. */
export type FindingState = 'ok' | 'warning' | 'missing' | 'failed';

/** What one look has come to. */
export interface Answer {
  state: FindingState;
  /** What is there, or why it is not. */
  found: string;
  /** What comes of it, unless it is ok. */
  why?: string;
  /** How to mend it. */
  next?: string;
}

/** One thing that was looked at; the shape that `--json` prints. */
export interface Finding extends Answer {
  what: string;
  /** Whether Tenon works with it: ok, or a warning. */
  ok: boolean;
}

/** Looks at one thing: a text is what is there, and all is well; what it throws is what is wrong. */
export interface Probe {
  what: string;
  look: () => string | Answer | Promise<string | Answer>;
  /** What comes of it when `look` throws. */
  why?: string;
}

const probeMs = 15_000;

/** Whether a probe has not come back: what it waits for may keep the process from ending. */
export interface Looked {
  findings: Finding[];
  stuck: boolean;
}

export function warning(found: string, why: string, next?: string): Answer {
  return { state: 'warning', found, why, ...(next === undefined ? {} : { next }) };
}

export function missing(found: string, why: string, next: string): Answer {
  return { state: 'missing', found, why, next };
}

export function failed(found: string, why: string, next: string): Answer {
  return { state: 'failed', found, why, next };
}

/** All probes, side by side; findings in their order. Never rejects. */
export async function lookAtAll(probes: readonly Probe[], limitMs = probeMs): Promise<Looked> {
  const late = new Set<string>();
  const findings = await Promise.all(
    probes.map(async (probe) => {
      const answer = await answerOf(probe, limitMs, () => late.add(probe.what));
      return { what: probe.what, ok: answer.state === 'ok' || answer.state === 'warning', ...answer };
    }),
  );
  return { findings, stuck: late.size > 0 };
}

async function answerOf({ look, why }: Probe, limitMs: number, onLate: () => void): Promise<Answer> {
  const reason = why === undefined ? {} : { why };
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<Answer>((resolve) => {
    timer = setTimeout(() => {
      onLate();
      resolve({ state: 'failed', found: `no answer within ${limitMs / 1000} s`, ...reason });
    }, limitMs);
  });
  const looked = (async (): Promise<Answer> => {
    try {
      const found = await look();
      return typeof found === 'string' ? { state: 'ok', found } : found;
    } catch (cause) {
      const { code, message, next } = asTenonError(cause);
      const state = code.endsWith('Missing') ? 'missing' : 'failed';
      return { state, found: message, ...reason, ...(next === undefined ? {} : { next }) };
    }
  })();
  try {
    return await Promise.race([looked, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
