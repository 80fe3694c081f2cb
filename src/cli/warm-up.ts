/** What a host does at its start, done before with nothing: the code is compiled when it is needed. */
import { thisLibc } from '../bundle/platform.js';
import { parseConfig } from '../compiler/config.js';
import { Router } from '../http/router.js';
import type { ServedRoute } from '../host/live.js';
import { readSchema } from '../tables/schema.js';

const config = `name: Sample
version: 1.0.0
description: Nobody sees it.
`;
const schema = `"A sample."
type Sample @table @export {
  id: ID! @primaryKey
  name: String! @indexed
  parts: [Part!] @relationship(to: "sampleId")
  madeAt: Date @createdTime
}
enum Kind { one two }
type Part @table @export {
  id: ID! @primaryKey
  kind: Kind! @indexed
  weight: Float
  sampleId: ID! @indexed
  sample: Sample @relationship(from: "sampleId")
}
`;
const paths = ['/sample/part', '/sample/part/:key'];

/** For a host that stands by: opens no file and no port, and changes nothing. Takes some 20 ms. */
export function warmUp(): void {
  thisLibc();
  parseConfig(config, '/sample');
  readSchema([{ file: 'schema.graphql', text: schema }], 'sample');
  const router = new Router(paths.map(routeAt), []);
  for (const target of ['/sample/part', '/sample/part/1']) router.find('GET', target);
}

function routeAt(path: string, slot: number): ServedRoute {
  return { plugin: 'sample', method: 'GET', path, slot, bodyLimit: 0, execution: 'pool', deadlineMs: 1 };
}
