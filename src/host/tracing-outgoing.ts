/** A span for each request of a plugin to another server. */
import {
  beginSpan,
  contextOf,
  headersFor,
  markFailed,
  nowhereTraced,
  type SpanAttributes,
  type TraceContext,
} from '../base/tracing.js';
import type { OutgoingAnswer, OutgoingRequest } from '../binding/outgoing.js';

type Order = Extract<OutgoingRequest, { cancelled: false }>;

export interface TracedOutgoing {
  /** Those of the request, with what the other server goes on from, unless the plugin has said that itself. */
  readonly headers: string[];
  /** What came of it; nothing when it was given up. */
  end(answer: OutgoingAnswer | undefined): void;
}

/** @param parent the request in whose handler it was made, when it was made in one */
export function traceOutgoing(order: Order, parent: TraceContext = nowhereTraced): TracedOutgoing | undefined {
  const span = beginSpan(order.method, { kind: 'client', parent, attributes: attributesOf(order) });
  if (span === undefined) return undefined;
  const names = new Set(order.headers.filter((_, at) => at % 2 === 0));
  const added = names.has('traceparent') ? [] : Object.entries(headersFor(contextOf(span, parent)));
  return {
    headers: [...order.headers, ...added.filter(([name]) => !names.has(name)).flat()],
    end: (answer) => {
      if (answer === undefined) markFailed(span, 'cancelled');
      else if ('message' in answer) markFailed(span, answer.cancelled === true ? 'cancelled' : 'error', answer.message);
      else {
        span.setAttribute('http.response.status_code', answer.status);
        if (answer.status >= 400) markFailed(span, String(answer.status));
      }
      span.end();
    },
  };
}

/** Without the query, which may have secrets in it. */
function attributesOf({ method, url: text, plugin, generation }: Order): SpanAttributes {
  const all = { 'http.request.method': method, 'tenon.plugin': plugin, 'tenon.generation': generation };
  if (!URL.canParse(text)) return all;
  const url = new URL(text);
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  return {
    ...all,
    'url.full': `${url.origin}${url.pathname}`,
    'server.address': url.hostname,
    'server.port': port,
  };
}
