/** Crashes, as `tenon doctor` finds them: those that there were, what is held back for them, and what names the functions in reports. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Environment, Settings } from '../base/config.js';
import { crashFolder, CrashReports } from '../base/crash-reports.js';
import { readRegular } from '../base/regular.js';
import { type Answer, failed, type Probe, warning } from './doctor-finding.js';
import { installing } from './doctor-packages.js';

const execute = promisify(execFile);
const runMs = 8000;
const fileLimit = 16 * 1024 ** 2;

export function crashProbes(settings: Settings, env: Environment): Probe[] {
  return [
    { what: 'crashes', look: () => crashes(settings.data), why: 'what hosts have ended by is not known' },
    { what: 'crash symbols', look: () => symbols(env) },
  ];
}

async function crashes(data: string): Promise<Answer | string> {
  const [held, { reports }] = await Promise.all([
    heldIn(path.join(data, 'containment.json')),
    new CrashReports({ folder: crashFolder(data) }).list(),
  ]);
  const [newest] = reports;
  const known = newest === undefined ? 'none is known' : `${reports.length} known, the last at ${newest.at}`;
  if (held === undefined)
    return failed(
      `${known}; ${path.join(data, 'containment.json')} is damaged`,
      'the next host puts it aside, and holds nothing back',
      'see `tenon crashes`, and mend or remove the file',
    );
  const { safeMode, quarantined, bad } = held;
  if (safeMode)
    return warning(`${known}; safe mode`, 'no plugin is loaded', 'see `tenon crashes`; `tenon release` ends it');
  if (quarantined.length > 0)
    return warning(
      `${known}; in quarantine: ${quarantined.join(', ')}`,
      'they are not loaded: their paths answer 503 where no other build serves',
      `see \`tenon crashes\`; give them other builds, or \`tenon release ${quarantined[0] ?? ''}\``,
    );
  if (bad.length > 0)
    return warning(
      `${known}; held back: builds of ${bad.join(', ')}`,
      'the builds before them serve, or none',
      `see \`tenon crashes\`; mend them, or \`tenon release ${bad[0] ?? ''}\``,
    );
  return known;
}

interface Held {
  safeMode: boolean;
  /** Ids of plugins. */
  quarantined: string[];
  bad: string[];
}

/** Undefined when the file is damaged. */
async function heldIn(file: string): Promise<Held | undefined> {
  const bytes = await readRegular(file, fileLimit).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (bytes === undefined) return { safeMode: false, quarantined: [], bad: [] };
  try {
    const { safeMode, quarantined, bad } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    return { safeMode: safeMode !== undefined, quarantined: pluginsIn(quarantined), bad: pluginsIn(bad) };
  } catch {
    return undefined; // told by whoever asked
  }
}

/** Throws TypeError for what is no list of builds. */
function pluginsIn(builds: unknown): string[] {
  if (!Array.isArray(builds)) throw new TypeError('no list');
  return [...new Set(builds.map((build: { plugin: unknown }) => String(build.plugin)))];
}

async function symbols(env: Environment): Promise<Answer | string> {
  for (const tool of ['addr2line', 'llvm-symbolizer'])
    try {
      const { stdout } = await execute(tool, ['--version'], { timeout: runMs, env: { ...env, LC_ALL: 'C' } });
      return `${tool}: ${stdout.trim().split('\n')[0] ?? ''}`;
    } catch {} // the next one, or none
  return warning(
    'neither addr2line nor llvm-symbolizer is on PATH',
    'crash reports name functions as the linker does, and no lines of sources',
    installing('binutils', env),
  );
}
