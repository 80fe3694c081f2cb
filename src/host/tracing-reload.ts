/** The span of one reload, with a part for each of its phases. */
import {
  beginSpan,
  contextOf,
  inSpan,
  markFailed,
  nowhereTraced,
  type Span,
  type TraceContext,
  within,
} from '../base/tracing.js';
import type { Phase, ReloadRecord, ReloadTrace, Trigger } from './record.js';

/** A phase that was timed by somebody else. Times as `performance.now()`. */
interface Passed {
  readonly phase: Phase;
  readonly ms: number;
  readonly at: number;
}

/** Who asks for these waits for them, and is what they are a part of. */
const asked: readonly Trigger[] = ['api', 'config', 'rollback'];

export class ReloadSpan implements ReloadTrace {
  readonly #span: Span;
  readonly #around: TraceContext;
  readonly #began = performance.now();
  /** All times of one reload are of one clock: its parts lie in it, and one after the other. */
  readonly #epoch = Date.now() - this.#began;
  #passed: Passed[] = [];

  private constructor(span: Span, around: TraceContext) {
    this.#span = span;
    this.#around = contextOf(span, around);
  }

  /** Undefined when nobody traces. */
  static begin(plugin: string, trigger: Trigger): ReloadSpan | undefined {
    // What has set up a watch or a timer is long over when they go off.
    const parent = asked.includes(trigger) ? undefined : nowhereTraced;
    const attributes = { 'tenon.plugin': plugin, 'tenon.reload.trigger': trigger };
    const span = beginSpan('tenon.reload', { parent, attributes, startTime: Date.now() });
    return span && new ReloadSpan(span, nowhereTraced);
  }

  inside<T>(work: () => T): T {
    return within(this.#around, work);
  }

  phase<T>(phase: Phase, work: () => T | Promise<T>): Promise<T> {
    this.#writePassed(performance.now());
    return inSpan(nameOf(phase), { parent: this.#around, clock: this.#clock }, work);
  }

  passed(phase: Phase, ms: number): void {
    this.#passed.push({ phase, ms, at: performance.now() });
  }

  end(record: ReloadRecord): void {
    const { id, outcome, unchanged, from, to, attempts, unload, error } = record;
    const now = performance.now();
    this.#writePassed(now);
    this.#span.setAttributes({
      'tenon.reload.id': id,
      'tenon.reload.outcome': unchanged === true ? 'unchanged' : outcome,
      'tenon.reload.attempt': attempts,
      ...(from === undefined ? {} : { 'tenon.reload.from_generation': from.generation }),
      ...(to === undefined ? {} : { 'tenon.generation': to.generation, 'tenon.sha256': to.sha256 }),
      ...(unload === undefined ? {} : { 'tenon.reload.unload': unload }),
    });
    if (error !== undefined) markFailed(this.#span, error.code, error.message);
    this.#span.end(this.#clock());
  }

  readonly #clock = (): number => this.#epoch + performance.now();

  #writePassed(before: number): void {
    let end = before;
    for (const { phase, ms, at } of this.#passed.toReversed()) {
      end = Math.min(end, at);
      const begin = Math.max(this.#began, end - ms);
      const startTime = this.#epoch + begin;
      beginSpan(nameOf(phase), { parent: this.#around, startTime })?.end(this.#epoch + end);
      end = begin;
    }
    this.#passed = [];
  }
}

function nameOf(phase: Phase): string {
  return `tenon.reload.${phase}`;
}
