/** Files that show what plugins can do, and do so wherever these run: in the host, and each in a process of its own. */
export const conformance = [
  'test/41.host.test.ts',
  'test/42.http.test.ts',
  'test/43.reload.test.ts',
  'test/50.state.test.ts',
  'test/67.tables.plugin.test.ts',
  'test/80.pipeline.test.ts',
  'test/117.state.test.ts',
];
