/** The tokens over HTTP: who has one, making and revoking them. */
import { TenonError } from '../base/errors.js';
import { type Operation, type Schema, scopes } from './operation.js';
import { nameGrammar, nameIn, pluginsIn, requireLimits, scopesIn, TokenRefused } from './tokens-file.js';
import type { Tokens, TokenWish } from './tokens.js';

const bodyLimit = 64 * 1024;
const leastLifetimeMs = 1000;
/** Ten years. */
const mostLifetimeMs = 315_360_000_000;

const time: Schema = { type: 'string', format: 'date-time' };
const scopeList: Schema = { type: 'array', items: { type: 'string', enum: scopes }, minItems: 1, uniqueItems: true };
const pluginList: Schema = { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 100 };
const name: Schema = { type: 'string', pattern: nameGrammar.source };

const shown: Schema = {
  name,
  id: { type: 'string', pattern: '^[0-9a-f]{8}$', description: 'As it stands in the token itself' },
  scopes: scopeList,
  plugins: { ...pluginList, description: 'Those it is limited to' },
  createdAt: time,
  createdBy: { type: 'string' },
  expiresAt: time,
  lastUsedAt: time,
  expired: { type: 'boolean' },
};
const shownAlways = ['name', 'id', 'scopes', 'createdAt', 'createdBy', 'expired'];
const tokenView: Schema = { type: 'object', properties: shown, required: shownAlways };
const asked: Schema = {
  type: 'object',
  properties: {
    name,
    scopes: scopeList,
    plugins: pluginList,
    lifetimeMs: { type: 'integer', minimum: leastLifetimeMs, maximum: mostLifetimeMs },
  },
  required: ['name', 'scopes'],
  additionalProperties: false,
};

export function tokenOperations(tokens: Tokens): Operation[] {
  return [
    {
      id: 'listTokens',
      tag: 'access',
      method: 'get',
      path: '/api/v1/tokens',
      scope: 'admin',
      summary: 'The tokens beside the admin token: what each may, and when it was last used',
      answers: {
        200: {
          description: 'The tokens, by name',
          content: json(object({ tokens: { type: 'array', items: tokenView } })),
        },
      },
      errors: ['TokensInvalid'],
      handle: () => ({ body: { tokens: tokens.list() } }),
    },
    {
      id: 'createToken',
      tag: 'access',
      method: 'post',
      path: '/api/v1/tokens',
      scope: 'admin',
      summary: 'Make a token; its text is in the answer, and nowhere else',
      requestBody: {
        description: 'Its name, what it may, for which plugins, for how long',
        required: true,
        content: { 'application/json': asked },
        read: 'json',
        limit: bodyLimit,
      },
      answers: {
        201: {
          description: 'The token',
          content: json(object({ token: { type: 'string', pattern: '^tenon_' }, ...shown }, ['token', ...shownAlways])),
        },
      },
      errors: ['TokenExists', 'TokensInvalid', 'NotRecorded'],
      handle: async ({ body, by }) => {
        const { token, view } = await tokens.create({ ...readWish(body), by });
        return { status: 201, body: { token, ...view } };
      },
    },
    {
      id: 'revokeToken',
      tag: 'access',
      method: 'delete',
      path: '/api/v1/tokens/{name}',
      scope: 'admin',
      summary: 'Admit a token no more',
      parameters: [{ name: 'name', in: 'path', description: 'Name of the token', schema: { type: 'string' } }],
      answers: {
        200: { description: 'Done', content: json(object({ status: { type: 'string', const: 'revoked' }, name })) },
      },
      errors: ['TokenNotFound', 'TokensInvalid', 'NotRecorded'],
      handle: async ({ path, by }) => {
        await tokens.revoke(path['name'] ?? '', by);
        return { body: { status: 'revoked', name: path['name'] } };
      },
    },
  ];
}

function object(properties: Schema, required: readonly string[] = Object.keys(properties)): Schema {
  return { type: 'object', properties, required };
}

function json(schema: Schema): Readonly<Record<string, Schema>> {
  return { 'application/json': schema };
}

/** What the body asks for. Throws `BadRequest`. */
function readWish(body: unknown): Omit<TokenWish, 'by'> {
  try {
    if (typeof body !== 'object' || body === null || Array.isArray(body))
      throw new TokenRefused('a JSON object is needed, as {"name": "ci", "scopes": ["read"]}');
    const given = new Map<string, unknown>(Object.entries(body));
    const known = ['name', 'scopes', 'plugins', 'lifetimeMs'];
    const unknown = [...given.keys()].find((key) => !known.includes(key));
    if (unknown !== undefined)
      throw new TokenRefused(`${JSON.stringify(unknown)} is not known; there are ${known.join(', ')}`);
    const wanted = scopesIn(given.get('scopes'));
    const plugins = pluginsIn(given.get('plugins'));
    requireLimits(wanted, plugins);
    return {
      name: nameIn(given.get('name')),
      scopes: wanted,
      plugins,
      lifetimeMs: lifetimeIn(given.get('lifetimeMs')),
    };
  } catch (error) {
    if (!(error instanceof TokenRefused)) throw error;
    throw new TenonError('BadRequest', error.message, { next: 'see docs/access.md', cause: error });
  }
}

function lifetimeIn(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= leastLifetimeMs && value <= mostLifetimeMs)
    return value;
  throw new TokenRefused(`lifetimeMs: must be a whole number from ${leastLifetimeMs} to ${mostLifetimeMs}`);
}
