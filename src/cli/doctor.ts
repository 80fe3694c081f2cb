/** `tenon doctor`: what this machine has of what Tenon needs, what that means, and how to get the rest. It changes nothing. */
import path from 'node:path';
import { processEnvironment, resolveSettings, type Settings } from '../base/config.js';
import { describeError } from '../base/errors.js';
import { machineName } from '../base/machine-name.js';
import { version } from '../base/version.js';
import { crashProbes } from './doctor-crashes.js';
import { failed, type Finding, lookAtAll, type Probe } from './doctor-finding.js';
import { machineProbes } from './doctor-machine.js';
import { placeProbes } from './doctor-places.js';
import { serviceProbes } from './doctor-services.js';
import { toolProbes } from './doctor-tools.js';
import { tryNative, tryRocksdb } from './doctor-trial.js';
import { watchProbes } from './doctor-watch.js';
import { exitStatus } from './failure.js';
import { printTable } from './table.js';

export interface DoctorFlags {
  data?: string;
  applications?: string;
  json?: true;
}

/** Where no file of settings can be. */
const nowhere = path.join('/dev', 'null');

/** What the host would be told; with the defaults where it would be told something wrong, which is a finding then. */
function settingsOf(flags: DoctorFlags): { settings: Settings; probe: Probe } {
  const given = { data: flags.data, applications: flags.applications };
  try {
    const { settings, printed } = resolveSettings({ flags: given });
    const set = printed.filter(({ source }) => source !== 'default').length;
    return {
      settings,
      probe: { what: 'settings', look: () => `${set} set, ${printed.length - set} as they are by default` },
    };
  } catch (error) {
    if (error instanceof TypeError) throw error;
    const { data = 'data', applications = 'applications' } = flags;
    const places = { data: path.resolve(data), applications: path.resolve(applications) };
    const { settings } = resolveSettings({ flags: places, variables: {}, directory: nowhere });
    const look = () =>
      failed(
        describeError(error),
        'no host starts with it; what is below was looked at with the defaults',
        'correct it',
      );
    return { settings, probe: { what: 'settings', look } };
  }
}

/** The exit status: 0 when Tenon works here. */
export async function doctor(flags: DoctorFlags): Promise<number> {
  const { settings, probe } = settingsOf(flags);
  const env = processEnvironment();
  const { rocksdb, tablesSync, tablesLog, tablesCache } = settings;
  const store = { rocksdb, tablesSync, tablesLog, tablesCache };
  const tried = async (of: 'core' | 'runner'): Promise<string> => (await tryNative({ of })).found ?? '';
  const { findings, stuck } = await lookAtAll([
    { what: 'Tenon', look: () => `${version} on Node.js ${process.version}, ${machineName}` },
    probe,
    { what: 'core', look: () => tried('core'), why: 'no host starts' },
    { what: 'runner', look: () => tried('runner'), why: 'no library can be tried before it is loaded' },
    ...toolProbes(env),
    {
      what: 'RocksDB',
      look: () => tryRocksdb(store),
      why: 'applications with tables cannot be served',
    },
    ...machineProbes(settings, env),
    ...placeProbes(settings),
    ...watchProbes(settings),
    ...serviceProbes(settings),
    ...crashProbes(settings, env),
  ]);
  const healthy = findings.every(({ ok }) => ok);
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ healthy, findings })}\n`);
  else print(findings);
  const status = healthy ? 0 : exitStatus.refused;
  // What a probe still waits for, a file system that does not answer perhaps, would keep the process.
  if (stuck) process.stdout.write('', () => process.exit(status));
  return status;
}

function print(findings: readonly Finding[]): void {
  printTable(findings.map(({ what, state, found }) => [what, state, found]));
  const wrong = findings.filter(({ state }) => state !== 'ok');
  if (wrong.length === 0) {
    process.stderr.write('Nothing is missing.\n');
    return;
  }
  process.stdout.write('\n');
  for (const { what, state, why, next } of wrong)
    process.stdout.write(
      `${what} (${state})${why === undefined ? '' : `: ${why}`}${next === undefined ? '' : `\n  ${next}`}\n`,
    );
}
