/** What plugins may be granted: one line each, `what:how:which`. */
import { isIPv6 } from 'node:net';
import { closest } from './closest.js';

/** Longest line, characters. */
const permissionLength = 383;
/** So many may be asked for by one plugin. */
export const mostPermissions = 256;

interface Kind {
  /** Undefined when `which` may stand in a line of this kind, else a clause: `must …`. */
  readonly wrong: (which: string) => string | undefined;
  /** Whether a grant of `granted` allows all that `wanted` stands for. */
  readonly covers: (granted: string, wanted: string) => boolean;
}

/** A name, a beginning of names with `*`, or `*`: as events.h and hooks.h have them. */
const names: Kind = {
  wrong: (which) =>
    /^(?:\*|[a-z0-9_.-]{1,127}\*?)$/.test(which)
      ? undefined
      : 'must end in a name of a-z, 0-9, "_", "." and "-", in a beginning of names such as "todo.*", or in "*"',
  covers: (granted, wanted) => granted === wanted || (granted.endsWith('*') && wanted.startsWith(granted.slice(0, -1))),
};

const tables: Kind = {
  wrong: (which) =>
    /^[a-z0-9][a-z0-9_-]{0,62}\.(?:\*|[A-Za-z]\w{0,126})$/.test(which)
      ? undefined
      : 'must end in a table as "database.Table", or in all of a database as "database.*"',
  covers: (granted, wanted) =>
    granted === wanted || (granted.endsWith('.*') && wanted.startsWith(granted.slice(0, -1))),
};

const label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const domain = new RegExp(`^(?=.{1,253}$)(?:\\*\\.)?${label}(?:\\.${label})*$`);

/** Host and port of `which`; undefined port: those that the schemes have by default, 80 and 443. */
function splitHost(which: string): { host: string; port: string | undefined } {
  const [, host = '', port] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(which) ?? [];
  return { host, port };
}

/** Only in the one way of writing it that the parser of URLs has: two ways of writing an address are two hosts otherwise. */
function isHost(host: string): boolean {
  if (host.startsWith('[')) {
    const address = host.slice(1, -1);
    return isIPv6(address) && URL.canParse(`http://${host}/`) && new URL(`http://${host}/`).hostname === host;
  }
  if (!domain.test(host)) return false;
  const last = host.slice(host.lastIndexOf('.') + 1);
  // What ends in a number is an address, and of addresses there are no subdomains.
  if (!/^(?:\d+|0x[0-9a-f]*)$/.test(last)) return true;
  return !host.startsWith('*') && URL.canParse(`http://${host}/`) && new URL(`http://${host}/`).hostname === host;
}

const isPort = (port: string): boolean => /^[1-9]\d{0,4}$/.test(port) && Number(port) < 65_536;

const hosts: Kind = {
  wrong(which) {
    const { host, port } = splitHost(which);
    const right = which === '*' || (isHost(host) && (port === undefined || isPort(port)));
    return right
      ? undefined
      : 'must end in a host as "api.example.com" or "127.0.0.1:8080", in lower case, in "*.example.com", or in "*"';
  },
  covers(granted, wanted) {
    if (granted === '*' || granted === wanted) return true;
    if (wanted === '*') return false;
    const [given, asked] = [splitHost(granted), splitHost(wanted)];
    const sameHost =
      given.host === asked.host || (given.host.startsWith('*.') && asked.host.endsWith(given.host.slice(1)));
    const samePort = given.port === asked.port || (given.port === undefined && /^(?:80|443)$/.test(asked.port ?? ''));
    return sameHost && samePort;
  },
};

/** By all of the line that stands before `which`. What takes no `which` is complete without. */
const kinds: Readonly<Record<string, Kind | undefined>> = {
  'tables:read': tables,
  'tables:write': tables,
  'http:client': hosts,
  'events:publish': names,
  'events:subscribe': names,
  'hooks:call': names,
  'auth:credentials': undefined,
  'write:config': undefined,
};

/** Each kind of permission: what stands before `which`, or the whole line. */
export const permissionKinds: readonly string[] = Object.keys(kinds);

function split(line: string): { kind: string; which: string | undefined } {
  const [what = '', how, ...rest] = line.split(':');
  return { kind: how === undefined ? what : `${what}:${how}`, which: rest.length === 0 ? undefined : rest.join(':') };
}

/** Undefined for a permission that there is, else a clause that says what is wrong: `must be …`. */
export function wrongPermission(line: string): string | undefined {
  if (line === '') return 'must not be empty';
  if (line.length > permissionLength) return `must be at most ${permissionLength} characters`;
  const { kind, which } = split(line);
  if (!Object.hasOwn(kinds, kind)) {
    const meant = closest(kind, permissionKinds);
    const list = permissionKinds.map((each) => `"${each}"`).join(', ');
    return `must begin with one of ${list}${meant === undefined ? '' : `; did you mean "${meant}"?`}`;
  }
  const rules = kinds[kind];
  if (rules === undefined) return which === undefined ? undefined : `must be "${kind}" and no more`;
  return rules.wrong(which ?? '');
}

/** A line `ID PERMISSION` in its two parts. */
export function splitGrant(line: string): { id: string; permission: string } {
  const [, id = '', permission = ''] = /^(\S*) +(\S*)$/.exec(line) ?? [];
  return { id, permission };
}

/** Undefined for a line `ID PERMISSION`, else a clause that says what is wrong: `must …`. */
export function wrongGrant(line: string): string | undefined {
  const { id, permission } = splitGrant(line);
  return /^[a-z0-9][a-z0-9_-]{0,62}$/.test(id)
    ? wrongPermission(permission)
    : 'must begin with the id of a plugin and a blank';
}

/**
 * Whether one of `granted` allows what `wanted` asks for; `*` in the last part of a grant stands for anything, writing a table
 * includes reading it, and a host without a port is its ports 80 and 443. Both are lines that `wrongPermission` has nothing
 * against; any other allows nothing but itself.
 */
export function isGranted(granted: readonly string[], wanted: string): boolean {
  const asked = split(wanted);
  return granted.some((line) => {
    if (line === wanted) return true;
    const given = split(line);
    const included = given.kind === asked.kind || (given.kind === 'tables:write' && asked.kind === 'tables:read');
    const rules = Object.hasOwn(kinds, given.kind) ? kinds[given.kind] : undefined;
    if (!included || rules === undefined || given.which === undefined || asked.which === undefined) return false;
    if (rules.wrong(given.which) !== undefined || rules.wrong(asked.which) !== undefined) return false;
    return rules.covers(given.which, asked.which);
  });
}
