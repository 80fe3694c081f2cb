/** `tenon show`: everything about one plugin of a running host. */
import type { GenerationView, PluginView } from '../index.js';
import { describe } from '../compiler/diagnostics.js';
import { type AskFlags, Client } from './client.js';
import { diagnosticsOf } from './complaints.js';
import { isolationRows } from './isolation-rows.js';
import { barParts, phaseTimes, reloadLine } from './phases.js';
import { printTable } from './table.js';
import { whoOf } from './who.js';

const barWidth = 60;

export async function show(id: string, flags: AskFlags): Promise<void> {
  const view = await Client.find(flags).get<PluginView>(`/api/v1/plugins/${encodeURIComponent(id)}`);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(view)}\n`);
    return;
  }
  const { state, version, folder, tables, waiting, generations, routes, findings, warnings, lastReload, error } = view;
  const { type, description, extension, extensions, consumers, requiredBy, registry } = view;
  const rows = [
    ['plugin', view.id],
    ['state', view.health === undefined ? state : `${state}; ${view.health}`],
    ['version', version ?? '-'],
    type === 'static' ? ['type', 'static, part of the program'] : ['folder', folder],
    ...(description === undefined ? [] : [['description', description]]),
    ...(registry === undefined ? [] : [['registry', registryLine(registry)]]),
    ...isolationRows(view.isolation),
    ['calls waiting', String(waiting)],
    ...(tables.length === 0 ? [] : [['tables', tables.join(', ')]]),
    ...(extension === false ? [] : [['is extension', String(extension)]]),
    ...(extension === false && consumers.length === 0 ? [] : [['used by', usersOf(consumers, requiredBy)]]),
    ...extensions.map(({ id, required, state: of, settings }) => [
      'extension',
      `${id}: ${of}${required ? '' : ', not required'}${settings.length === 0 ? '' : `; sets ${settings.join(', ')}`}`,
    ]),
  ];
  for (const { number, state: of, sha256, size, leases, threads, counters, ledger, pinnedReason } of generations) {
    rows.push(
      [`generation ${number}`, `${of}${pinnedReason === undefined ? '' : `: ${pinnedReason}`}`],
      ['  library', `${sha256.slice(0, 12)}, ${size} bytes`],
      ['  calls', `${leases} in it, ${counters.calls} ended, ${counters.faults} failed`],
      ['  threads', `${threads.alive} alive, ${threads.lost} lost`],
      ['  registered', registeredBy(ledger)],
    );
  }
  for (const { method, path, execution, needs } of routes)
    rows.push(['route', `${method} ${path} (${execution}, ${whoOf({ needs })})`]);
  for (const { rule, detail } of findings) rows.push(['finding', `${rule}: ${detail}`]);
  for (const warning of warnings) rows.push(['warning', warning]);
  if (error !== undefined) rows.push(...errorRows(error));
  if (lastReload !== undefined) {
    if (error === undefined && lastReload.error !== undefined) rows.push(...errorRows(lastReload.error));
    const bar = barParts(lastReload.phases, barWidth).map((part) => part.bar);
    rows.push(['last reload', reloadLine(lastReload)], ['', bar.join('')], ['', phaseTimes(lastReload.phases)]);
  }
  printTable(rows);
}

function usersOf(consumers: readonly string[], requiredBy: readonly string[]): string {
  return consumers.map((id) => (requiredBy.includes(id) ? id : `${id} (not required)`)).join(', ') || 'nobody';
}

/** What the registry says of it. */
function registryLine({ status, reason, version, pinned, revision }: NonNullable<PluginView['registry']>): string {
  const why = reason === undefined ? '' : ` (${reason})`;
  const which = version === undefined ? '' : `, ${pinned ? 'pinned to' : 'version'} ${version}`;
  return `${status}${why}${which}, revision ${revision}`;
}

/** Everything that was wrong, one in a row. */
function errorRows({ code, message, details }: NonNullable<PluginView['error']>): string[][] {
  const said = diagnosticsOf(details);
  if (said.length < 2) return [['error', `${code}: ${message}`]];
  return [['error', code], ...said.map((each) => ['', describe(each)])];
}

/** What there is of it, in words. */
function registeredBy(ledger: GenerationView['ledger']): string {
  const { routes, streams, state, middleware, resolvesRoles, authorizes, providers, hooks, subscriptions } = ledger;
  const counts = ['timers', 'tasks', 'requests', 'series'] as const;
  return [
    `${routes.length} routes`,
    `${streams} streams`,
    ...(state ? ['state'] : []),
    ...(middleware ? ['middleware'] : []),
    ...(providers.length === 0 ? [] : [`providers ${providers.join(' ')}`]),
    ...(resolvesRoles ? ['roles'] : []),
    ...(authorizes ? ['authorize'] : []),
    ...(hooks.length === 0 ? [] : [`hooks ${hooks.join(' ')}`]),
    ...(subscriptions.length === 0 ? [] : [`events ${subscriptions.join(' ')}`]),
    ...counts.filter((name) => ledger[name] > 0).map((name) => `${ledger[name]} ${name}`),
  ].join(', ');
}
