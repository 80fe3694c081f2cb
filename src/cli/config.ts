/** `tenon config`: the config of a plugin of a running host, seen, set, taken back, and what it was before. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { ConfigChange, ConfigHistoryEntry, ConfigView } from '../index.js';
import { closest } from '../base/closest.js';
import { type AskFlags, Client, Refusal } from './client.js';
import { printTable } from './table.js';

export interface ConfigFlags extends AskFlags {
  dryRun?: true;
}

const actions = ['get', 'set', 'unset', 'history'];

type Members = Record<string, unknown>;

/** The answer to a change. */
interface Changed extends ConfigChange {
  plugin: { id: string; state: string; version?: string; generation?: number };
}

/** Rejects with TypeError for an action that there is none of, and for values that say nothing. */
export async function config(id: string, action = 'get', values: readonly string[], flags: ConfigFlags): Promise<void> {
  const target = `/api/v1/plugins/${encodeURIComponent(id)}/config`;
  if (!actions.includes(action)) throw noAction(action);
  if (action === 'set') return set(target, values, flags);
  if (values.length > 0) throw new TypeError(`config ${action} takes no ${JSON.stringify(values[0])}`);
  if (action === 'get') return get(target, flags);
  if (action === 'unset') return change('DELETE', target, undefined, flags);
  return history(target, flags);
}

function noAction(action: string): TypeError {
  const meant = closest(action, actions);
  const next = meant === undefined ? `there are ${actions.join(', ')}` : `did you mean ${meant}?`;
  return new TypeError(`there is no action ${JSON.stringify(action)}; ${next}`);
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

async function get(target: string, flags: ConfigFlags): Promise<void> {
  const view = await Client.find(flags).get<ConfigView>(target);
  if (flags.json === true) {
    print(view);
    return;
  }
  process.stdout.write(`${JSON.stringify(view.config, undefined, 2)}\n`);
  process.stderr.write(`from ${view.source}${view.revision === 0 ? '' : `, revision ${view.revision}`}\n`);
}

async function history(target: string, flags: ConfigFlags): Promise<void> {
  const answer = await Client.find(flags).get<{ history: ConfigHistoryEntry[] }>(`${target}/history`);
  if (flags.json === true) {
    print(answer);
    return;
  }
  const rows = answer.history.map((entry) => [
    String(entry.revision),
    entry.changedAt,
    entry.changedBy,
    entry.config === null ? '-' : JSON.stringify(entry.config),
  ]);
  printTable([['REVISION', 'CHANGED', 'BY', 'CONFIG'], ...rows]);
}

async function set(target: string, values: readonly string[], flags: ConfigFlags): Promise<void> {
  const [first] = values;
  if (first === undefined) throw new TypeError('config set needs a file, or key=value');
  if (values.length === 1 && !first.includes('=')) return change('PUT', target, fromFile(first), flags);
  const pairs = values.map(readPair);
  const { answer, tag } = await Client.find(flags).tagged<ConfigView>('GET', target);
  return change('PUT', target, withPairs(answer.config, pairs), flags, tag);
}

async function change(
  method: 'PUT' | 'DELETE',
  target: string,
  body: unknown,
  flags: ConfigFlags,
  ifMatch?: string,
): Promise<void> {
  const query = flags.dryRun === true ? '?dryRun=true' : '';
  const asked = Client.find(flags).tagged<Changed>(method, target + query, { body, ifMatch });
  const { answer } = await asked.catch((error: unknown) => {
    if (error instanceof Refusal && flags.json !== true) tellErrors(error);
    throw error;
  });
  if (flags.json === true) {
    print(answer);
    return;
  }
  const { plugin, status, revision } = answer;
  const running = plugin.generation === undefined ? '' : `, generation ${plugin.generation}`;
  process.stdout.write(`${plugin.id}: ${status}, revision ${revision}${running}\n`);
}

/** Beside the first, which the message has. */
function tellErrors({ problem }: Refusal): void {
  const { errors } = problem.details ?? {};
  if (!Array.isArray(errors) || errors.length < 2) return;
  for (const { pointer, message } of errors as { pointer: string; message: string }[])
    process.stderr.write(`${pointer === '' ? 'it' : pointer} ${message}\n`);
}

function fromFile(name: string): unknown {
  let text: string;
  try {
    text = readFileSync(name === '-' ? 0 : name, 'utf8');
  } catch (error) {
    throw new TypeError(`${JSON.stringify(name)} is neither key=value nor a file: ${(error as Error).message}`, {
      cause: error,
    });
  }
  try {
    return parse(text) as unknown; // JSON is YAML
  } catch (error) {
    throw new TypeError(`${name} is neither JSON nor YAML: ${(error as Error).message}`, { cause: error });
  }
}

/** `a.b=1`: what is JSON is that, everything else a text. */
function readPair(pair: string): { keys: string[]; value: unknown } {
  const [, name = '', text = ''] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
  if (name === '') throw new TypeError(`${JSON.stringify(pair)} is no key=value`);
  return { keys: name.split('.'), value: valueOf(text) };
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function withPairs(config: unknown, pairs: readonly { keys: string[]; value: unknown }[]): Members {
  return pairs.reduce<Members>((whole, { keys, value }) => withMember(whole, keys, value), membersOf(config));
}

function withMember(members: Members, [key = '', ...further]: readonly string[], value: unknown): Members {
  const inner = Object.hasOwn(members, key) ? members[key] : undefined;
  const next = further.length === 0 ? value : withMember(membersOf(inner), further, value);
  return { ...members, [key]: next };
}

function membersOf(value: unknown): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
}
