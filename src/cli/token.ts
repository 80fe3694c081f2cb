/** `tenon token`: who may use the admin API of a running host, beside whoever has the admin token. */
import { type AskFlags, Client, Refusal } from './client.js';
import { printable } from './printable.js';
import { printTable } from './table.js';

const tokens = '/api/v1/tokens';

/** A token as the API shows it. */
interface Shown {
  name: string;
  id: string;
  scopes: string[];
  plugins?: string[];
  createdAt: string;
  createdBy: string;
  expiresAt?: string;
  lastUsedAt?: string;
  expired: boolean;
}

export interface CreateTokenFlags extends AskFlags {
  /** Commas between them. */
  scope?: string;
  /** A number and s, m, h, d or w. */
  expires?: string;
  plugin?: string[];
}

function print(answer: unknown): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

/** The token goes to standard output, what is to be known of it to standard error. */
export async function createToken(name: string, { scope, expires, plugin, ...flags }: CreateTokenFlags): Promise<void> {
  const scopes = scope?.match(/[^ ,]+/g) ?? [];
  if (scopes.length === 0)
    throw new TypeError(
      'option scope: say what the token may, as `--scope read,config`; there are read, config, install and admin',
    );
  const lifetimeMs = expires === undefined ? undefined : readLifetime(expires);
  const client = Client.find(flags);
  const made = await client.post<Shown & { token: string }>(tokens, {
    name,
    scopes,
    ...(plugin === undefined ? {} : { plugins: plugin }),
    ...(lifetimeMs === undefined ? {} : { lifetimeMs }),
  });
  if (flags.json === true) {
    print(made);
    return;
  }
  process.stdout.write(`${made.token}\n`);
  const only = made.plugins === undefined ? '' : ` with ${made.plugins.join(', ')} alone`;
  const until = made.expiresAt === undefined ? '' : ` until ${made.expiresAt}`;
  process.stderr.write(`${made.name} may ${made.scopes.join(', ')}${only}${until}; the token is shown this once\n`);
  for (const id of await unknownOf(client, made.plugins)) process.stderr.write(`there is no plugin ${id} here yet\n`);
}

/** Those of `ids` that the host has no plugin for; none when whoever makes the token may not see them. */
async function unknownOf(client: Client, ids: readonly string[] = []): Promise<readonly string[]> {
  if (ids.length === 0) return [];
  try {
    const { plugins } = await client.get<{ plugins: { id: string }[] }>('/api/v1/plugins');
    return ids.filter((id) => !plugins.some((plugin) => plugin.id === id));
  } catch (error) {
    if (error instanceof Refusal) return []; // the token is made, and shown
    throw error;
  }
}

export async function listTokens(flags: AskFlags): Promise<void> {
  const answer = await Client.find(flags).get<{ tokens: Shown[] }>(tokens);
  if (flags.json === true) {
    print(answer);
    return;
  }
  const rows = answer.tokens.map(({ name, id, scopes, plugins, expiresAt, expired, lastUsedAt, createdBy }) => [
    name,
    `tenon_${id}_…`,
    scopes.join(','),
    plugins?.join(',') ?? 'all',
    expired ? `expired ${expiresAt ?? ''}` : (expiresAt ?? 'never'),
    lastUsedAt ?? 'never',
    printable(createdBy),
  ]);
  printTable([['NAME', 'TOKEN', 'SCOPES', 'PLUGINS', 'EXPIRES', 'LAST USED', 'MADE BY'], ...rows]);
}

export async function revokeToken(name: string, flags: AskFlags): Promise<void> {
  const { answer } = await Client.find(flags).tagged<{ name: string }>(
    'DELETE',
    `${tokens}/${encodeURIComponent(name)}`,
  );
  if (flags.json === true) print(answer);
  else process.stdout.write(`${answer.name}: revoked\n`);
}

const unitsMs: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

function readLifetime(given: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([smhdw])$/.exec(given) ?? [];
  if (count === undefined)
    throw new TypeError(`option expires: ${JSON.stringify(given)} is no time as 90s, 45m, 12h, 30d or 8w`);
  return Number(count) * (unitsMs[unit] ?? 0);
}
