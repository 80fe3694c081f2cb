/** One request of a plugin in this process, with strict guards: `node strict.ts LIBRARY TARGET`. */
import { setImmediate as turn } from 'node:timers/promises';
import { loadCore, Outcome, Word } from '../../src/binding/core.js';
import { openLibrary } from '../../src/binding/library.js';

const [, , path = '', target = ''] = process.argv;
const core = loadCore();
const front = new core.Front({ onReady: () => {}, onLog: () => {}, strict: true });
const library = openLibrary(path);
const plugin = new core.PluginPointer(front, { id: 'overrun', queueLimit: 1 });
const generation = new core.GenerationHandle(plugin, {
  number: 1,
  descriptor: library.descriptor.address,
  root: '',
  prefix: '/overrun',
  deadlineMs: 10_000,
  bodyLimit: 1000,
  concurrency: 1,
});
await generation.create(1000);
await generation.initialize(1000);
const routes = await generation.routes(1000);
await generation.ready(1000);
for (const { method, pattern, index } of routes) generation.bind(plugin.slot(method, `/overrun${pattern}`), index);
plugin.swap(generation);
const slot = plugin.slot('POST', target.startsWith('/overrun/body/') ? '/overrun/body/:at' : '/overrun/query/:at');
let body = front.call(slot, target, '', Buffer.from('a body'));
while (front.result[Word.Outcome] === Outcome.Pending || front.result[Word.Outcome] === Outcome.None) {
  await turn();
  body = front.next();
}
process.stdout.write(`${String(body)}\n`);
process.exit(0);
