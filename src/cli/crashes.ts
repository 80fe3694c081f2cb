/** `tenon crashes`: how hosts have ended, by whom, and what was done about it. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { closest } from '../base/closest.js';
import { resolveSettings } from '../base/config.js';
import type { CrashAction, CrashReport, Party } from '../base/crash-report.js';
import { crashFolder, CrashReports } from '../base/crash-reports.js';
import { asTenonError, TenonError } from '../base/errors.js';
import { type SymbolSources, symbolised } from '../host/crash-symbols.js';
import { type CrashSummary, summaryOf } from '../http/crash-summary.js';
import { type AskFlags, Client, Refusal } from './client.js';
import { crashPage, howOf, whereOf } from './crash-page.js';
import { printable } from './printable.js';
import { printTable } from './table.js';

export interface CrashesFlags extends AskFlags {
  plugin?: string;
  limit?: string;
  debugFile?: string;
}

/** Where reports come from: a data directory, or a host. */
interface Crashes {
  list: (asked: { plugin?: string | undefined; limit?: number | undefined }) => Promise<readonly CrashSummary[]>;
  read: (id: string) => Promise<CrashReport>;
}

const latest = 'last';

/** All of them, or the one that `crash` names by its id or as `last`. */
export async function crashes(crash: string | undefined, flags: CrashesFlags): Promise<void> {
  const { plugin, debugFile, json } = flags;
  const limit = limitOf(flags.limit);
  if (crash === undefined && debugFile !== undefined)
    throw new TypeError('option debug-file: name the crash, too, or `last`');
  if (crash !== undefined && crash !== latest && plugin !== undefined)
    throw new TypeError('option plugin: a crash is named already');
  const from = flags.url === undefined ? keptIn(flags) : askedOf(flags);
  if (crash === undefined) print(await from.list({ plugin, limit }), await othersThan(plugin, from), json === true);
  else {
    const report = await from
      .read(crash === latest ? await lastOf(from, plugin) : crash)
      .catch((error: unknown) => meant(error, crash, from));
    process.stdout.write(json === true ? `${JSON.stringify(report)}\n` : crashPage(report));
  }
}

function limitOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (!/^[1-9]\d{0,4}$/.test(given))
    throw new TypeError(`option limit: ${JSON.stringify(given)} is not a whole number from 1 upwards`);
  return Number(given);
}

function keptIn({ data, debugFile }: CrashesFlags): Crashes {
  const { settings } = resolveSettings({ flags: { data } });
  if (statSync(settings.data, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new TenonError('CrashNotFound', `the data directory ${settings.data} is not there: no crash is known`, {
      next: 'name that of the host with --data',
      details: { data: settings.data },
    });
  const reports = new CrashReports({ folder: crashFolder(settings.data) });
  const sourcesOf = ({ host: { applications = '' } }: CrashReport): SymbolSources => ({
    data: settings.data,
    // The settings here may be another host's.
    applications: [...(path.isAbsolute(applications) ? [applications] : []), settings.applications],
    debugFile: debugFile === undefined ? undefined : path.resolve(debugFile),
  });
  return {
    list: async (asked) => {
      const { reports: kept, skipped } = await reports.list(asked);
      for (const { file, reason } of skipped)
        process.stderr.write(`tenon: ${file} is left out: ${printable(reason)}\n`);
      return kept.map(summaryOf);
    },
    read: async (id) => {
      const report = await reports.read(id);
      return symbolised(report, sourcesOf(report));
    },
  };
}

function askedOf(flags: CrashesFlags): Crashes {
  if (flags.debugFile !== undefined)
    throw new TypeError('option debug-file: it is looked into here, and the library is with the host: leave out --url');
  const client = Client.find(flags);
  return {
    list: async ({ plugin, limit }) => {
      const query = new URLSearchParams({
        ...(plugin === undefined ? {} : { plugin }),
        ...(limit === undefined ? {} : { limit: String(limit) }),
      }).toString();
      return (await client.get<{ crashes: CrashSummary[] }>(`/api/v1/crashes${query && `?${query}`}`)).crashes;
    },
    read: (id) => client.get<CrashReport>(`/api/v1/crashes/${encodeURIComponent(id)}`),
  };
}

async function lastOf(from: Crashes, plugin: string | undefined): Promise<string> {
  const [newest] = await from.list({ plugin, limit: 1 });
  if (newest !== undefined) return newest.id;
  const whose = plugin === undefined ? '' : ` of ${plugin}`;
  throw new TenonError('CrashNotFound', `no crash${whose} is known`, { details: { plugin } });
}

async function meant(error: unknown, crash: string, from: Crashes): Promise<never> {
  const code = error instanceof Refusal ? error.problem.error : asTenonError(error).code;
  if (code !== 'CrashNotFound' || crash === latest) throw error;
  const ids = (await from.list({}).catch(() => [])).map(({ id }) => id); // the first error is the one to be told
  const near = closest(crash, [latest, ...ids]);
  if (near === undefined) throw error;
  throw new TenonError('CrashNotFound', `there is no crash report ${JSON.stringify(crash)}; did you mean ${near}?`, {
    details: { crash },
    cause: error,
  });
}

/** Plugins that other crashes are put down to, when one is asked about. */
async function othersThan(plugin: string | undefined, from: Crashes): Promise<string[]> {
  if (plugin === undefined) return [];
  const all = await from.list({});
  return [
    ...new Set(all.flatMap(({ culprit, suspects }) => [culprit, ...suspects].flatMap((one) => one?.plugin ?? []))),
  ];
}

function print(all: readonly CrashSummary[], known: readonly string[], json: boolean): void {
  if (json) process.stdout.write(`${JSON.stringify({ crashes: all })}\n`);
  else if (all.length > 0)
    printTable([['CRASH', 'AT', 'PLUGIN', 'GENERATION', 'HOW', 'WHERE', 'THEN'], ...all.map(rowOf)]);
  if (all.length > 0) return;
  const others = known.length === 0 ? '' : `; there are some of ${known.join(', ')}`;
  process.stderr.write(`no crash is known${others}\n`);
}

const words: Readonly<Record<CrashAction, string>> = {
  restarted: 'restarted',
  demoted: 'demoted',
  processRestarted: 'process restarted',
  quarantined: 'quarantined',
  wentBack: 'build held back',
  safeMode: 'safe mode',
  gaveUp: 'gave up',
  ended: 'ended',
};

function rowOf(crash: CrashSummary): string[] {
  const { id, at, culprit, suspects, stackOverflow, action, released } = crash;
  const party = culprit ?? suspects[0];
  return [
    id,
    at.replace(/T(\d\d:\d\d:\d\d).*$/, ' $1'),
    culprit === undefined ? suspects.map(doubted).join(' ') || '-' : culprit.plugin,
    party === undefined ? '-' : String(party.generation),
    stackOverflow === true ? `${howOf(crash)} (stack overflow)` : howOf(crash),
    party?.inside === undefined ? '-' : whereOf(party.inside),
    released === undefined ? words[action] : `${words[action]}, released (${released.by})`,
  ].map(printable);
}

function doubted({ plugin }: Party): string {
  return `${plugin}?`;
}
