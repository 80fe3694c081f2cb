/** What is counted of the connections of each listener. */
import { counter, type Family, gauge, type Sample } from './metrics-text.js';
import type { ListenerCounts, ServerCounts } from './server.js';

export function connectionFamilies(all: readonly ListenerCounts[]): Family[] {
  const each = (value: (counts: ServerCounts) => number): Sample[] =>
    all.map(({ listener, counts }) => ({ labels: { listener }, value: value(counts) }));
  const eachOf = (label: string, values: (counts: ServerCounts) => Readonly<Record<string, number>>): Sample[] =>
    all.flatMap(({ listener, counts }) =>
      Object.entries(values(counts)).map(([name, value]) => ({ labels: { listener, [label]: name }, value })),
    );
  return [
    gauge(
      'tenon_http_connections',
      'Connections that are open.',
      each(({ open }) => open),
    ),
    counter(
      'tenon_http_connections_accepted_total',
      'Connections that were accepted and served.',
      each(({ accepted }) => accepted),
    ),
    counter(
      'tenon_http_connections_refused_total',
      'Connections that were over a limit.',
      eachOf('limit', ({ refused }) => refused),
    ),
    counter(
      'tenon_http_connections_stalled_total',
      'Connections whose clients took nothing of an answer.',
      each(({ stalled }) => stalled),
    ),
    counter(
      'tenon_http_unreadable_requests_total',
      'Requests that were no requests, or did not arrive in time.',
      eachOf('code', ({ unreadable }) => unreadable),
    ),
    ...tlsFamilies(all),
  ];
}

/** A host has one certificate. */
function tlsFamilies(all: readonly ListenerCounts[]): Family[] {
  const secure = all.filter(({ counts }) => counts.certificateExpires !== undefined);
  const expires = secure[0]?.counts.certificateExpires;
  if (expires === undefined) return [];
  return [
    counter(
      'tenon_tls_handshakes_failed_total',
      'Handshakes of TLS that have failed.',
      secure.map(({ listener, counts }) => ({ labels: { listener }, value: counts.handshakes })),
    ),
    gauge('tenon_tls_certificate_expiry_timestamp_seconds', 'When the certificate expires.', [{ value: expires }]),
  ];
}
