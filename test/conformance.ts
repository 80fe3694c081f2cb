/** Files that show what plugins can do, and do so wherever these run: in the host, and each in a process of its own. */
export const conformance = [
  'test/41.host.test.ts',
  'test/42.http.test.ts',
  'test/43.reload.test.ts',
  'test/50.state.test.ts',
  'test/51.rollback.test.ts',
  'test/67.tables.plugin.test.ts',
  'test/80.pipeline.test.ts',
  'test/81.services.test.ts',
  'test/82.outgoing.test.ts',
  'test/103.metrics.plugins.test.ts',
  'test/104.logs.test.ts',
  'test/107.edge.closing.test.ts',
  'test/107.edge.raw.test.ts',
  'test/107.edge.test.ts',
  'test/117.state.test.ts',
];
