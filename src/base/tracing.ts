/**
 * Spans, by @opentelemetry/api. They go to the provider that the program has registered; Tenon has none of its own, and while
 * there is none no span is made and no header is read.
 */
import { setTimeout as wait } from 'node:timers/promises';
import {
  type Attributes,
  type Context,
  context,
  createTraceState,
  propagation,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Tracer,
} from '@opentelemetry/api';
import { version } from './version.js';

export type { Attributes as SpanAttributes, Context as TraceContext, Span } from '@opentelemetry/api';

/** Headers by name, in lower case. */
export type TraceHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** The ids of a span as a log record has them. */
export interface TraceIds {
  trace_id: string;
  span_id: string;
}

export interface SpanBegin {
  kind?: 'server' | 'client' | undefined;
  attributes?: Attributes | undefined;
  /** Ms since 1970; now when absent. */
  startTime?: number | undefined;
  /** What it is a part of; what runs now when absent. */
  parent?: Context | undefined;
}

const kinds = { server: SpanKind.SERVER, client: SpanKind.CLIENT } as const;
/** What the API has in place of a provider. */
const nobody = new ProxyTracerProvider().getDelegate();

let tracer: Tracer | undefined;
const state = { on: false };

/** Whether there is a provider, as of the last look: the one thing that is asked for each request. */
export const tracing: { readonly on: boolean } = state;

/** Look whether the program has registered a provider. One that comes later is found by the next look. */
export function lookForTracing(): void {
  const provider = trace.getTracerProvider();
  const isThere = provider instanceof ProxyTracerProvider ? provider.getDelegate() !== nobody : true;
  tracer = isThere ? trace.getTracer('tenon', version) : undefined;
  state.on = isThere;
}

const flushMs = 2000;

/** Have the provider export what it still holds, for 2 s at most. Never rejects: `failed` is told why it could not. */
export async function flushTracing(failed: (error: unknown) => void): Promise<void> {
  const registered: object = trace.getTracerProvider();
  const provider = registered instanceof ProxyTracerProvider ? registered.getDelegate() : registered;
  if (!('forceFlush' in provider) || typeof provider.forceFlush !== 'function') return;
  const late = new AbortController();
  try {
    const flushed = (provider as { forceFlush: () => Promise<unknown> }).forceFlush();
    await Promise.race([flushed, wait(flushMs, undefined, { signal: late.signal })]);
  } catch (error) {
    failed(error);
  } finally {
    late.abort();
  }
}

/** Undefined when nobody traces. */
export function beginSpan(name: string, begin: SpanBegin = {}): Span | undefined {
  if (tracer === undefined) return undefined;
  const { kind, attributes, startTime, parent = context.active() } = begin;
  return tracer.startSpan(
    name,
    {
      kind: kind === undefined ? SpanKind.INTERNAL : kinds[kind],
      ...(attributes === undefined ? {} : { attributes }),
      ...(startTime === undefined ? {} : { startTime }),
    },
    parent,
  );
}

/** It has not gone well: `type` is a code, a status or a name. */
export function markFailed(span: Span, type: string, message?: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR, ...(message === undefined ? {} : { message }) });
}

/** The same for what was thrown. Of a database the code is its SQLSTATE. */
function markThrown(span: Span, error: unknown): void {
  if (!span.isRecording()) return;
  const failure = error instanceof Error ? error : new Error(String(error));
  const code = 'code' in failure && typeof failure.code === 'string' ? failure.code : failure.name;
  markFailed(span, code, failure.message);
}

/**
 * Run `work` in a span of its own, which ends with it; a rejection is noted. Without a provider only `work` is run. `clock` is asked
 * for the time at its begin and its end, ms since 1970.
 */
export async function inSpan<T>(
  name: string,
  { clock, ...begin }: SpanBegin & { clock?: () => number },
  work: (span: Span | undefined) => T | Promise<T>,
): Promise<T> {
  const span = beginSpan(name, { ...begin, startTime: clock?.() });
  if (span === undefined) return work(undefined);
  try {
    return await within(contextOf(span, begin.parent), () => work(span));
  } catch (error) {
    markThrown(span, error);
    throw error;
  } finally {
    span.end(clock?.());
  }
}

/** What is a part of `span`. */
export function contextOf(span: Span, around: Context = context.active()): Context {
  return trace.setSpan(around, span);
}

/** Run `work` so that spans begun by it, also later, are parts of `around`. */
export function within<T>(around: Context, work: () => T): T {
  return context.with(around, work);
}

/** Outside of everything. */
export const nowhereTraced: Context = ROOT_CONTEXT;

/**
 * What a request is a part of: of the span that runs now, when the program traces its own server, else of what its headers say, by
 * the propagator that the program has registered, W3C Trace Context without one. What is malformed is ignored.
 */
export function contextFrom(headers: TraceHeaders): Context {
  const active = context.active();
  if (trace.getSpanContext(active) !== undefined) return active;
  if (propagation.fields().length > 0)
    return propagation.extract(active, headers, {
      keys: (carrier) => Object.keys(carrier),
      get: (carrier, name) => {
        const value = carrier[name.toLowerCase()];
        return typeof value === 'string' || value === undefined ? value : [...value];
      },
    });
  const remote = readTraceParent(headers['traceparent'], headers['tracestate']);
  return remote === undefined ? active : trace.setSpanContext(active, remote);
}

/** Headers that tell a server that a request to it is a part of `around`: those of the propagator, as above. */
export function headersFor(around: Context): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  if (propagation.fields().length === 0) {
    const here = trace.getSpanContext(around);
    return here === undefined ? {} : writeTraceParent(here);
  }
  propagation.inject(around, headers, {
    set: (carrier, name, value) => {
      carrier[name.toLowerCase()] = String(value);
    },
  });
  return headers;
}

/** `traceparent`, and `tracestate` where there is one. */
export function writeTraceParent({ traceId, spanId, traceFlags, traceState }: SpanContext): Record<string, string> {
  const flags = (traceFlags & 0xff).toString(16).padStart(2, '0');
  const state = traceState?.serialize() ?? '';
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(state === '' ? {} : { tracestate: state }) };
}

const traceParent = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;
const longestHeader = 512;

/** W3C Trace Context, level 1; undefined for what is none, also when it was sent twice. */
export function readTraceParent(
  parent: string | readonly string[] | undefined,
  traceState: string | readonly string[] | undefined,
): SpanContext | undefined {
  if (typeof parent !== 'string' || parent.length > longestHeader) return undefined;
  const [, version, traceId = '', spanId = '', flags = '', rest] = traceParent.exec(parent) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED,
    isRemote: true,
    ...(typeof traceState === 'string' && traceState !== '' ? { traceState: createTraceState(traceState) } : {}),
  };
}

/** Of `around`, what runs now when absent; undefined when nobody traces it. */
export function traceIds(around: Context = context.active()): TraceIds | undefined {
  const here = state.on ? trace.getSpanContext(around) : undefined;
  return here === undefined ? undefined : idsOf(here);
}

export function idsOf({ traceId, spanId }: SpanContext): TraceIds {
  return { trace_id: traceId, span_id: spanId };
}
