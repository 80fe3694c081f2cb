// A process to crash: descriptor 3 is its black box. Its arguments are a folder for its libraries, and steps, one after the other.
import { closeSync, copyFileSync, openSync } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { loadCore } from '../../dist/binding/core.js';
import { Generation } from '../../dist/plugin/generation.js';

const core = loadCore();
const front = new core.Front({ onReady: () => answers.splice(0).map((told) => told()), onLog: () => {} });
const answers = [];
const plugin = new core.PluginPointer(front, { id: 'crash', queueLimit: 10 });
const [, , folder = '', ...asked] = process.argv;
const limits = {
  lifecycleMs: 20_000,
  startupMs: 20_000,
  drainMs: 20_000,
  deadlineMs: 20_000,
  bodyLimit: 1000,
  concurrency: 2,
  stateLimit: 1000,
};
let number = 0;
let generation;

/** A load of four bytes far outside of the only page of its memory. */
const outside = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 102, 0, 0, 10, 13, 1, 11,
  0, 65, 128, 128, 128, 128, 7, 40, 2, 0, 11,
]);
function readOutside() {
  new WebAssembly.Instance(new WebAssembly.Module(outside)).exports.f();
}

const steps = {
  box: () => core.openBlackBox({ descriptor: 3 }),
  report: (descriptor) => core.openBlackBox({ reportFile: Number(descriptor) }),
  /** The number of a descriptor is that of another file from here on. */
  reuse(descriptor, file) {
    closeSync(Number(descriptor));
    if (openSync(file, 'w+') !== Number(descriptor)) throw new Error('it has another number');
  },
  abort: () => process.abort(),
  beat: () => core.beat(),
  purpose: () => core.endOnPurpose(),
  async up(library) {
    const file = path.join(folder, `${++number}.so`);
    copyFileSync(library, file);
    const old = generation;
    generation = Generation.open({
      core,
      makeHandle: (options) => new core.GenerationHandle(plugin, options),
      number,
      admitted: {
        staged: { path: file, unlink() {} },
        sha256: String(number).repeat(64),
        size: 0,
        facts: { findings: [] },
      },
      id: 'crash',
      root: '',
      prefix: '/crash',
      limits,
      config: '{}',
      consumers: [],
      tables: undefined,
      permissions: undefined,
      keepStaged: true,
    });
    await generation.create();
    for (const { method, pattern, index } of await generation.initialize())
      generation.handle.bind(plugin.slot(method, `/crash${pattern}`), index);
    await generation.ready();
    plugin.swap(generation.handle);
    await old?.retire();
  },
  serving: () => generation.markServing(),
  async get(route, fault) {
    const slot = plugin.slot('GET', `/crash${route}`);
    const answered = new Promise((resolve) => answers.push(resolve));
    if (front.call(slot, `/crash${route}?fault=${fault}`, '') !== undefined) return;
    await answered;
    while (front.next() === undefined) await new Promise((resolve) => setImmediate(resolve));
  },
  trap() {
    try {
      readOutside();
      console.log('nothing');
    } catch (error) {
      console.log(error.name);
    }
  },
  trapInWorker: () =>
    new Promise((resolve) => {
      const worker = `const outside = new Uint8Array([${outside.join()}]);
        ${readOutside.toString()}
        try { readOutside(); } catch (error) { console.log(error.name); }`;
      new Worker(worker, { eval: true }).on('exit', resolve);
    }),
  end: (status) => process.exit(Number(status)),
};

const idle = setInterval(() => {}, 1000);
for (const step of asked) {
  const [name, ...values] = step.split(' ');
  await steps[name](...values);
}
clearInterval(idle);
console.log('well');
process.exit(0);
