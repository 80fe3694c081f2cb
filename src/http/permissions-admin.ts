/** What plugins ask for and are granted, over HTTP. */
import { TenonError } from '../base/errors.js';
import { isGranted, mostPermissions, wrongPermission } from '../base/permission.js';
import type { Grants, Standing } from '../host/grants.js';
import type { PluginView } from '../host/plugin.js';
import type { Operation, RequestBody } from './operation.js';
import { pluginId } from './parameters.js';
import { permissionLines } from './shapes-host.js';
import { standing as standingShape } from './shapes-plugin.js';
import { objectOf, optional, text } from './shapes.js';

export interface PermissionRoutes {
  grants: Grants;
  /** Throws `PluginNotFound`. */
  show: (id: string) => PluginView;
}

const path = '/api/v1/plugins/{id}/permissions';
const refusals = ['PluginNotFound', 'PluginStatic'] as const;
const parts = {
  tag: 'permissions',
  path,
  parameters: [pluginId],
  answers: {
    200: {
      description: 'How it stands with the plugin',
      content: { 'application/json': objectOf({ plugin: text(), ...standingShape }) },
    },
  },
} as const;

export function permissionOperations({ grants, show }: PermissionRoutes): Operation[] {
  const standing = (id: string): Standing => {
    const { permissions } = show(id);
    if (permissions !== undefined) return permissions;
    throw new TenonError('PluginStatic', `${id} is part of the program, which nothing binds`, {
      next: 'let the program do less',
      details: { plugin: id },
    });
  };
  const answer = (id: string): { body: object } => ({ body: { plugin: id, ...standing(id) } });
  return [
    {
      ...parts,
      id: 'showPermissions',
      method: 'get',
      scope: 'read',
      summary: 'What a plugin asks for beyond its own, and is granted',
      errors: refusals,
      handle: ({ path: { id = '' } }) => answer(id),
    },
    {
      ...parts,
      id: 'setPermissions',
      method: 'put',
      scope: 'install',
      summary: 'Grant these, and nothing else beside what the settings grant',
      requestBody: bodyOf({ granted: permissionLines }),
      errors: [...refusals, 'NotRecorded'],
      handle: async ({ path: { id = '' }, body, by }) => {
        const { granted } = readLines(body, ['granted']);
        requireAsked(id, standing(id), granted ?? []);
        await grants.set(id, granted ?? [], by);
        return answer(id);
      },
    },
    {
      ...parts,
      id: 'changePermissions',
      method: 'patch',
      scope: 'install',
      summary: 'Grant some, and take some back',
      requestBody: bodyOf({ grant: optional(permissionLines), revoke: optional(permissionLines) }),
      errors: [...refusals, 'NotRecorded'],
      handle: async ({ path: { id = '' }, body, by }) => {
        const { grant = [], revoke = [] } = readLines(body, ['grant', 'revoke']);
        requireAsked(id, standing(id), grant);
        requireGranted(id, grants, revoke);
        await grants.change(id, { grant, revoke }, by);
        return answer(id);
      },
    },
  ];
}

function bodyOf(members: Parameters<typeof objectOf>[0]): RequestBody {
  return {
    description: 'Lists of permissions',
    required: true,
    content: { 'application/json': objectOf(members) },
    read: 'json',
    limit: 256 * 1024,
  };
}

/** Lists of permissions under some of `names`. Throws `BadRequest` for whatever else the body is. */
function readLines<Name extends string>(body: unknown, names: readonly Name[]): Partial<Record<Name, string[]>> {
  const expected = `an object of lists of permissions: ${names.join(', ')}`;
  const refuse = (why: string): TenonError => new TenonError('BadRequest', why, { next: `send ${expected}` });
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw refuse(`the body is not ${expected}`);
  const entries = Object.entries(body as Record<string, unknown>);
  if (entries.length === 0) throw refuse('the body says nothing');
  for (const [name, lines] of entries) {
    if (!names.some((known) => known === name)) throw refuse(`the body has ${JSON.stringify(name)}`);
    if (!Array.isArray(lines)) throw refuse(`${name} is not a list`);
    if (lines.length > mostPermissions) throw refuse(`${name} has more than ${mostPermissions} permissions`);
    for (const line of lines as unknown[]) {
      if (typeof line !== 'string') throw refuse(`${name} has something that is not a text`);
      const wrong = wrongPermission(line);
      if (wrong !== undefined) throw refuse(`${name}: ${JSON.stringify(line)} ${wrong}`);
    }
  }
  return body;
}

/** Throws `BadRequest` for what would grant nothing that is asked for. */
function requireAsked(id: string, { asked, by }: Standing, lines: readonly string[]): void {
  if (lines.length === 0) return;
  if (by === 'config')
    throw new TenonError('BadRequest', `${id} has no manifest.json: what it may is for its config.yaml to say`, {
      next: 'write it under `permissions` there',
      details: { plugin: id },
    });
  const idle = lines.find((line) => !isGranted(asked, line) && !asked.some((wanted) => isGranted([line], wanted)));
  if (idle === undefined) return;
  throw new TenonError('BadRequest', `${id} does not ask for ${JSON.stringify(idle)}`, {
    next: asked.length === 0 ? 'it asks for nothing' : `it asks for ${asked.join(', ')}`,
    details: { plugin: id, asked },
  });
}

/** Throws `BadRequest` for what nobody has granted in these words, or the settings have. */
function requireGranted(id: string, grants: Grants, lines: readonly string[]): void {
  for (const line of lines) {
    const { fixed, given } = grants.whoGrants(id);
    if (given.includes(line)) continue;
    const by = [...fixed, ...given].find((each) => isGranted([each], line));
    const why = fixed.includes(line)
      ? `the setting permissions.grants grants it`
      : by === undefined
        ? 'it is not granted'
        : `${JSON.stringify(by)} is what grants it`;
    throw new TenonError('BadRequest', `${JSON.stringify(line)} cannot be taken from ${id}: ${why}`, {
      next: fixed.includes(line) ? 'take it out there and start the host again' : 'take back a line that was granted',
      details: { plugin: id, granted: given },
    });
  }
}
