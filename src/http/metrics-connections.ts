/** What is counted of the connections of the public port. */
import { counter, type Family, gauge } from './metrics-text.js';
import type { ServerCounts } from './server.js';

export function connectionFamilies(counts: ServerCounts): Family[] {
  const { open, accepted, refused, stalled, unreadable, handshakes, certificateExpires } = counts;
  return [
    gauge('tenon_http_connections', 'Connections that are open.', [{ value: open }]),
    counter('tenon_http_connections_accepted_total', 'Connections that were accepted and served.', [
      { value: accepted },
    ]),
    counter(
      'tenon_http_connections_refused_total',
      'Connections that were over a limit.',
      Object.entries(refused).map(([limit, value]) => ({ labels: { limit }, value })),
    ),
    counter('tenon_http_connections_stalled_total', 'Connections whose clients took nothing of an answer.', [
      { value: stalled },
    ]),
    counter(
      'tenon_http_unreadable_requests_total',
      'Requests that were no requests, or did not arrive in time.',
      Object.entries(unreadable).map(([code, value]) => ({ labels: { code }, value })),
    ),
    ...(certificateExpires === undefined
      ? []
      : [
          counter('tenon_tls_handshakes_failed_total', 'Handshakes of TLS that have failed.', [{ value: handshakes }]),
          gauge('tenon_tls_certificate_expiry_timestamp_seconds', 'When the certificate expires.', [
            { value: certificateExpires },
          ]),
        ]),
  ];
}
