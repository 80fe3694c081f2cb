/** `tenon doctor`: what this machine has of what Tenon needs, and how to get the rest. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { processEnvironment, resolveSettings } from '../base/config.js';
import { asTenonError, TenonError } from '../base/errors.js';
import { findHost } from '../base/host-file.js';
import { machineName } from '../base/machine-name.js';
import { version } from '../base/version.js';
import { loadCore, runnerPath } from '../binding/core.js';
import { findToolchain } from '../compiler/toolchain.js';
import { schemasAlone, whyNoApplication } from '../host/applications.js';
import { openTableStore } from '../tables/open.js';
import { exitStatus } from './failure.js';
import { printTable } from './table.js';

export interface DoctorFlags {
  data?: string;
  json?: true;
}

/** One thing that was looked at. */
interface Finding {
  what: string;
  ok: boolean;
  /** What is there, or why it is not. */
  found: string;
  /** How to get it. */
  next?: string;
}

async function look(what: string, find: () => string | Promise<string>): Promise<Finding> {
  try {
    return { what, ok: true, found: await find() };
  } catch (cause) {
    const { message, next } = asTenonError(cause);
    return { what, ok: false, found: message, ...(next === undefined ? {} : { next }) };
  }
}

/** The exit status: 0 when nothing is missing. */
export async function doctor(flags: DoctorFlags): Promise<number> {
  const { settings } = resolveSettings({ flags: { data: flags.data } });
  const findings = [
    await look('Tenon', () => `${version} on Node.js ${process.version}, ${machineName}`),
    await look('core', () => `speaks ABI ${loadCore().abi.major}.${loadCore().abi.minor}`),
    await look('runner', () => runnerPath()),
    await look('compiler', () => {
      const { cmake, ninja, cc, cxx } = findToolchain(processEnvironment());
      return [cc, cxx, cmake, ninja ?? 'make'].join(', ');
    }),
    await look('RocksDB', async () => {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'tenon-doctor-'));
      try {
        const store = await openTableStore(loadCore(), { ...settings, directory: path.join(folder, 'tables') });
        const { engine } = store;
        await store.close();
        return `${engine.version} from ${engine.library}`;
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    }),
    await look('applications', async () => {
      const alone = (await schemasAlone(settings.applications)).map(whyNoApplication);
      if (alone.length > 0) throw new TenonError('ConfigNotFound', alone.join('; '));
      return settings.applications;
    }),
    await look('host', () => findHost(settings.data) ?? `none runs with ${settings.data}`),
  ];
  const healthy = findings.every(({ ok }) => ok);
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ healthy, findings })}\n`);
  else
    printTable(
      findings.map(({ what, ok, found, next }) => [
        what,
        ok ? 'ok' : 'missing',
        next === undefined ? found : `${found}; ${next}`,
      ]),
    );
  return healthy ? 0 : exitStatus.refused;
}
