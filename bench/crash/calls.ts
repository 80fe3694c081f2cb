// Prints what a call costs as JSON: `calls.ts LIBRARY box`, or `none` for a process without a black box.
import { loadCore } from '../../src/binding/core.js';
import { serve } from '../call/core.js';

/** Processor time of the whole process for each call, ns: other programs do not count. */
async function spent(calls: number, work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / calls;
}

const [, , library = '', how = ''] = process.argv;
if (how === 'box') loadCore().openBlackBox({});
const answering = await serve(library);
answering.inline(200_000);
const inline = await spent(1_000_000, () => answering.inline(1_000_000));
const pool = await spent(50_000, () => answering.pool(50_000, 16));
await answering.close();
process.stdout.write(JSON.stringify({ 'inline ns CPU': inline, 'pool ns CPU': pool }));
