import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Context, context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { lookForTracing, readTraceParent, tracing } from '../src/base/tracing.js';
import { summaryOf } from '../src/registry/tracing-statements.js';
import { until, World } from './load/world.js';
import { buildPlugin } from './plugins/build.js';

const remoteTrace = '4bf92f3577b34da6a3ce929d0e0e4736';
const remoteSpan = '00f067aa0ba902b7';
const sampled = `00-${remoteTrace}-${remoteSpan}-01`;

let world: World;
let upstream: Server;
let upstreamUrl: string;
const asked: IncomingHttpHeaders[] = [];
const exporter = new InMemorySpanExporter();
let begun = 0;
let flushed = 0;
let flush = (): Promise<void> => Promise.resolve();
const counter = {
  onStart: (_span: unknown, _context: Context) => void (begun += 1),
  onEnd: () => {},
  forceFlush: () => {
    flushed += 1;
    return flush();
  },
  shutdown: () => Promise.resolve(),
};
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter), counter] });

beforeAll(async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  upstream = createServer((request, response) => {
    asked.push(request.headers);
    response.end('there');
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/upstream?secret=1`;
  world = await World.make();
  await world.publish('traced', await buildPlugin('traced'));
  await world.start({ logRequests: true, registry: true });
}, 120_000);
afterAll(async () => {
  await world.close();
  upstream.close();
  trace.disable();
  context.disable();
});

function traceOn(): void {
  trace.setGlobalTracerProvider(provider);
  lookForTracing();
}

function spans(): ReadableSpan[] {
  return exporter.getFinishedSpans();
}

/** Nanoseconds as milliseconds; times of one second are told apart. */
function at([seconds, nanoseconds]: [number, number]): number {
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Names of those of requests. */
function served(): string[] {
  return spans()
    .filter(({ kind }) => kind === SpanKind.SERVER)
    .map(({ name }) => name);
}

async function spanNamed(name: string): Promise<ReadableSpan> {
  await until(`a span ${name}`, () => spans().some((span) => span.name === name));
  return spans().find((span) => span.name === name) as ReadableSpan;
}

function idsIn(text: string): { traceId: string; spanId: string; flags: string } {
  const [, traceId = '', spanId = '', flags = ''] = /traceparent: 00-(\w{32})-(\w{16})-(\w\w)\n/.exec(text) ?? [];
  return { traceId, spanId, flags };
}

test('without a provider no span begins, and headers come as they are', async () => {
  expect(tracing.on).toBe(false);
  const { body } = await world.request('GET', '/traced/pool/7', { headers: { traceparent: sampled } });
  expect(body).toBe(`traceparent: ${sampled}\n`);
  expect(begun).toBe(0);
});

describe('with a provider', () => {
  beforeAll(traceOn);
  beforeEach(() => {
    exporter.reset();
    asked.length = 0;
    world.log.length = 0;
  });

  test('a request of a plugin is a span of the trace that it came with, and the plugin sees that span', async () => {
    for (const [target, route] of [
      ['/traced/pool/7?secret=1', '/traced/pool/:id'],
      ['/traced/inline', '/traced/inline'],
    ] as const) {
      const headers = { traceparent: sampled, tracestate: 'vendor=1,other=2' };
      const { body } = await world.request('GET', target, { headers });
      const span = await spanNamed(`GET ${route}`);
      expect(span.kind).toBe(SpanKind.SERVER);
      expect(span.parentSpanContext).toMatchObject({ traceId: remoteTrace, spanId: remoteSpan, isRemote: true });
      const { traceId, spanId } = span.spanContext();
      expect(idsIn(body)).toEqual({ traceId: remoteTrace, spanId, flags: '01' });
      expect(body).toContain('tracestate: vendor=1,other=2\n');
      expect(body.match(/traceparent/g)).toHaveLength(1);
      expect(traceId).toBe(remoteTrace);
      expect(span.attributes).toMatchObject({
        'http.request.method': 'GET',
        'http.route': route,
        'http.response.status_code': 200,
        'url.path': target.split('?')[0],
        'url.scheme': 'http',
        'server.address': '127.0.0.1',
        'client.address': '127.0.0.1',
        'tenon.plugin': 'traced',
        'tenon.generation': 1,
        'tenon.request_id': expect.stringMatching(/-\d+$/),
      });
      expect(JSON.stringify(span.attributes)).not.toContain('secret');
      expect(span.status.code).toBe(SpanStatusCode.UNSET);
    }
  });

  test('the log of a request and what the plugin logs in it have the ids of its span', async () => {
    await world.get('/traced/pool/7');
    const span = await spanNamed('GET /traced/pool/:id');
    const { traceId: trace_id, spanId: span_id } = span.spanContext();
    await until('both records', () => world.log.filter((line) => line['trace_id'] === trace_id).length === 2);
    const lines = world.log.filter((line) => line['trace_id'] === trace_id);
    expect(lines.map(({ msg }) => msg).toSorted()).toEqual(['GET /traced/pool/7 200', 'seen']);
    for (const line of lines) expect(line).toMatchObject({ trace_id, span_id });
  });

  test('what a handler asks of another server is a span of the request, which that server sees', async () => {
    for (const way of ['inline', 'pool/7']) {
      await world.get(`/traced/${way}?url=${encodeURIComponent(upstreamUrl)}`);
      const client = await spanNamed('GET');
      const server = await spanNamed(way === 'inline' ? 'GET /traced/inline' : 'GET /traced/pool/:id');
      const { traceId, spanId } = client.spanContext();
      expect(asked.at(-1)?.['traceparent']).toBe(`00-${traceId}-${spanId}-01`);
      expect(client.kind).toBe(SpanKind.CLIENT);
      expect(client.parentSpanContext?.spanId).toBe(server.spanContext().spanId);
      expect(client.attributes).toMatchObject({
        'http.request.method': 'GET',
        'http.response.status_code': 200,
        'url.full': upstreamUrl.replace(/\?.*/, ''),
        'server.address': '127.0.0.1',
        'tenon.plugin': 'traced',
      });
      exporter.reset();
    }
  });

  test('a traceparent of the plugin itself is left alone', async () => {
    await world.get(`/traced/inline?own=${sampled}&url=${encodeURIComponent(upstreamUrl)}`);
    await spanNamed('GET');
    expect(asked.at(-1)?.['traceparent']).toBe(sampled);
  });

  test('what the caller does not record is not recorded, and says so to those behind', async () => {
    const unsampled = `00-${remoteTrace}-${remoteSpan}-00`;
    const target = `/traced/pool/7?url=${encodeURIComponent(upstreamUrl)}`;
    const { body } = await world.request('GET', target, { headers: { traceparent: unsampled } });
    expect(idsIn(body)).toMatchObject({ traceId: remoteTrace, flags: '00' });
    await until('the other server was asked', () => asked.length === 1);
    expect(asked[0]?.['traceparent']).toMatch(new RegExp(`^00-${remoteTrace}-\\w{16}-00$`));
    await world.get('/traced/inline');
    await spanNamed('GET /traced/inline');
    expect(served()).toEqual(['GET /traced/inline']);
  });

  test('a failure is an error by its code, and what the host answers has its route', async () => {
    await world.get('/traced/fails');
    const span = await spanNamed('GET /traced/fails');
    expect(span.attributes).toMatchObject({ 'error.type': 'HandlerFailed', 'http.response.status_code': 500 });
    expect(span.status.code).toBe(SpanStatusCode.ERROR);
    await world.admin('GET', '/api/v1/plugins/nobody');
    const own = await spanNamed('GET /api/v1/plugins/:id');
    expect(own.attributes).toMatchObject({ 'http.response.status_code': 404, 'error.type': 'PluginNotFound' });
    expect(own.status.code).toBe(SpanStatusCode.UNSET);
  });

  test.each([
    '',
    '0',
    `00-${'0'.repeat(32)}-${remoteSpan}-01`,
    `00-${remoteTrace}-${'0'.repeat(16)}-01`,
    `ff-${remoteTrace}-${remoteSpan}-01`,
    `00-${remoteTrace.toUpperCase()}-${remoteSpan}-01`,
    `00-${remoteTrace}-${remoteSpan}-01-more`,
    `00-${remoteTrace}-${remoteSpan}`,
    `00-${remoteTrace}-${remoteSpan}-1`,
    `00-${remoteTrace}-${remoteSpan}-01, 00-${remoteTrace}-${remoteSpan}-01`,
    `01-${remoteTrace}-${remoteSpan}-01-${'a'.repeat(600)}`,
    `00-${remoteTrace}-${remoteSpan}-0x`,
    'constructor',
  ])('a hostile traceparent begins a trace of its own (%#)', async (traceparent) => {
    const { body, status } = await world.request('GET', '/traced/inline', { headers: { traceparent } });
    expect(status).toBe(200);
    const span = await spanNamed('GET /traced/inline');
    expect(span.parentSpanContext).toBeUndefined();
    expect(idsIn(body)).toMatchObject({ traceId: span.spanContext().traceId, flags: '01' });
    expect(body.match(/traceparent/g)).toHaveLength(1);
    expect(span.spanContext().traceId).not.toBe(remoteTrace);
  });

  test('a reload is a span with its phases in it, one after the other, as a part of who asks for it', async () => {
    await world.publish('traced', await buildPlugin('traced', { defines: { PLUGIN_VERSION: '"1.0.1"' } }));
    await world.admin('POST', '/api/v1/plugins/traced/reload');
    const reload = await spanNamed('tenon.reload');
    const [record] = world.host.reloads();
    expect(reload.attributes).toEqual({
      'tenon.plugin': 'traced',
      'tenon.reload.trigger': 'api',
      'tenon.reload.id': record?.id,
      'tenon.reload.outcome': 'succeeded',
      'tenon.reload.attempt': 1,
      'tenon.reload.from_generation': 1,
      'tenon.reload.unload': 'clean',
      'tenon.generation': 2,
      'tenon.sha256': record?.to?.sha256,
    });
    const asking = await spanNamed('POST /api/v1/plugins/:id/reload');
    expect(reload.parentSpanContext?.spanId).toBe(asking.spanContext().spanId);
    const parts = spans().filter(({ name }) => name.startsWith('tenon.reload.'));
    expect(new Set(parts.map(({ name }) => name.slice('tenon.reload.'.length)))).toEqual(
      new Set(Object.keys(record?.phases ?? {})),
    );
    const inOrder = parts.toSorted((one, other) => at(one.startTime) - at(other.startTime));
    let before = at(reload.startTime);
    for (const { name, parentSpanContext, startTime, endTime } of inOrder) {
      expect(parentSpanContext?.spanId, name).toBe(reload.spanContext().spanId);
      expect(at(startTime), name).toBeGreaterThanOrEqual(before);
      before = at(endTime);
    }
    expect(at(reload.endTime)).toBeGreaterThanOrEqual(before);
  });

  test('a reload that fails is an error by its code; its build is a part of it', async () => {
    await world.write('broken', 'config.yaml', 'name: Broken\n');
    await world.write('broken', 'resources/broken.c', 'int broken(void) { return }');
    await world.host.discover();
    const build = await spanNamed('tenon.build');
    expect(spans().filter(({ name }) => name === build.name)).toHaveLength(1);
    const reload = spans().find(
      ({ attributes }) => attributes['tenon.plugin'] === 'broken' && 'tenon.reload.id' in attributes,
    );
    expect(reload?.attributes).toMatchObject({ 'tenon.reload.outcome': 'failed', 'error.type': 'BuildFailed' });
    expect(reload?.parentSpanContext).toBeUndefined();
    expect(build.attributes).toEqual({ 'tenon.plugin': 'broken', 'error.type': 'BuildFailed' });
    const phase = spans().find((span) => span.spanContext().spanId === build.parentSpanContext?.spanId);
    expect(phase?.name).toBe('tenon.reload.build');
    expect(phase?.parentSpanContext?.spanId).toBe(reload?.spanContext().spanId);
    const step = await spanNamed('tenon.build.compile');
    expect(step.parentSpanContext?.spanId).toBe(build.spanContext().spanId);
    expect(step.attributes['process.exit.code']).toBe(1);
  });

  test('statements of the registry are spans without what they carry', async () => {
    await until('the registry is connected to', () => world.host.registry().connected);
    await world.admin('POST', '/api/v1/plugins/traced/disable');
    const { status, body } = await world.admin('POST', '/api/v1/plugins/traced/enable');
    expect(status, body).toBe(200);
    const update = await spanNamed('UPDATE plugins');
    expect(update.kind).toBe(SpanKind.CLIENT);
    expect(update.attributes).toEqual({
      'db.system.name': 'postgresql',
      'db.query.summary': 'UPDATE plugins',
      'db.operation.name': 'UPDATE',
    });
    const transaction = spans().find((span) => span.spanContext().spanId === update.parentSpanContext?.spanId);
    expect(transaction?.name).toBe('tenon.registry.transaction');
  });

  test('an event stream is a span until its client goes, which is no error', async () => {
    const leaving = new AbortController();
    const headers = { authorization: 'Bearer a-token-of-the-tests', accept: 'text/event-stream' };
    const answer = await fetch(`${world.url}/api/v1/events`, { headers, signal: leaving.signal });
    expect(answer.status).toBe(200);
    expect(spans().map(({ name }) => name)).not.toContain('GET /api/v1/events');
    leaving.abort();
    const span = await spanNamed('GET /api/v1/events');
    expect(span.attributes).toMatchObject({ 'http.response.status_code': 200 });
    expect(span.attributes).not.toHaveProperty('error.type');
    expect(span.status.code).toBe(SpanStatusCode.UNSET);
  });

  test('what an embedded host leaves to others is none of its spans, and a span around it counts before headers', async () => {
    const tracer = trace.getTracer('the program');
    const around = tracer.startSpan('around');
    const handle = world.host.handler();
    const server = createServer((request, response) =>
      context.with(trace.setSpan(context.active(), around), () =>
        handle(request, response, () => response.end('ours')),
      ),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      expect(await (await fetch(`${url}/elsewhere`)).text()).toBe('ours');
      await (await fetch(`${url}/traced/inline`, { headers: { traceparent: sampled } })).text();
      const span = await spanNamed('GET /traced/inline');
      expect(span.parentSpanContext?.spanId).toBe(around.spanContext().spanId);
      expect(served()).toEqual(['GET /traced/inline']);
    } finally {
      around.end();
      server.closeAllConnections();
      server.close();
    }
  });

  test.each([
    ['SELECT a FROM (SELECT * FROM plugins) AS b', 'SELECT plugins'],
    ['SELECT extract(epoch FROM applied_at)::text FROM tenon_migrations', 'SELECT tenon_migrations'],
    ['  insert INTO plugins AS known VALUES ($1) ON CONFLICT (name) DO UPDATE SET a = 1', 'INSERT plugins'],
    ['SELECT 1', 'SELECT'],
    ["SELECT set_config('tenon.host', $1, true)", 'SELECT'],
    ['', 'SQL'],
  ])('%s in short', (text, summary) => expect(summaryOf(text)).toBe(summary));

  test('a propagator of the program is asked in place of W3C Trace Context', async () => {
    propagation.setGlobalPropagator({
      fields: () => ['x-own'],
      extract: (around, carrier, getter) => {
        const given = getter.get(carrier, 'x-own');
        const [traceId = '', spanId = ''] = typeof given === 'string' ? given.split(':') : [];
        return trace.setSpanContext(around, { traceId, spanId, traceFlags: 1, isRemote: true });
      },
      inject: (around, carrier, setter) => setter.set(carrier, 'x-own', trace.getSpanContext(around)?.spanId ?? ''),
    });
    try {
      const target = `/traced/pool/7?url=${encodeURIComponent(upstreamUrl)}`;
      await world.request('GET', target, { headers: { 'x-own': `${remoteTrace}:${remoteSpan}` } });
      expect((await spanNamed('GET /traced/pool/:id')).parentSpanContext?.spanId).toBe(remoteSpan);
      const { spanId } = (await spanNamed('GET')).spanContext();
      expect(asked.at(-1)?.['x-own']).toBe(spanId);
    } finally {
      propagation.disable();
    }
  });
});

test('a host that closes has the provider export what it holds, and minds no failure of that', async () => {
  flush = () => Promise.reject(new Error('nobody takes them'));
  await world.host.close();
  expect(flushed).toBe(1);
  await until('the failure is logged', () => world.log.some(({ msg }) => msg === 'the last spans were not exported'));
});

describe('traceparent', () => {
  const hex = (length: number): fc.Arbitrary<string> =>
    fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)).filter((text) => /[^0]/.test(text));
  const valid = fc.record({ traceId: hex(32), spanId: hex(16), flags: fc.integer({ min: 0, max: 255 }) });

  test('what is one is read as it is', () => {
    fc.assert(
      fc.property(valid, ({ traceId, spanId, flags }) => {
        const header = `00-${traceId}-${spanId}-${flags.toString(16).padStart(2, '0')}`;
        expect(readTraceParent(header, undefined)).toEqual({ traceId, spanId, traceFlags: flags & 1, isRemote: true });
      }),
    );
  });

  test('with one character changed to what no hexadecimal digit is, it is none', () => {
    const wrong = fc.string({ minLength: 1, maxLength: 1 }).filter((text) => !/[\da-f-]/.test(text));
    fc.assert(
      fc.property(valid, fc.integer({ min: 0, max: 54 }), wrong, ({ traceId, spanId }, at, character) => {
        const header = `00-${traceId}-${spanId}-01`;
        expect(readTraceParent(header.slice(0, at) + character + header.slice(at + 1), undefined)).toBeUndefined();
      }),
    );
  });

  test('whatever it is, reading it does not throw', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (parent, state) => {
        expect(readTraceParent(parent, state)).toBeUndefined();
        expect(readTraceParent(sampled, state)).toMatchObject({ traceId: remoteTrace, spanId: remoteSpan });
      }),
    );
  });
});
