/** What plugins ask for and are granted, over HTTP. */
import express, { type Express, type Request } from 'express';
import { TenonError } from '../base/errors.js';
import { isGranted, mostPermissions, wrongPermission } from '../base/permission.js';
import type { Grants, Standing } from '../host/grants.js';
import type { PluginView } from '../host/plugin.js';
import { whoAsks } from './trust-admin.js';

export interface PermissionRoutes {
  grants: Grants;
  /** Throws `PluginNotFound`. */
  show: (id: string) => PluginView;
}

type WithId = Request<{ id: string }>;

const bodyLimit = 256 * 1024;
const place = '/api/v1/plugins/:id/permissions';

export function permissionRoutes(app: Express, { grants, show }: PermissionRoutes): void {
  // Any content type: curl says form by itself, and there is only one way to read it.
  const json = express.json({ limit: bodyLimit, type: () => true });
  const standing = (id: string): Standing => {
    const { permissions } = show(id);
    if (permissions !== undefined) return permissions;
    throw new TenonError('PluginStatic', `${id} is part of the program, which nothing binds`, {
      next: 'let the program do less',
      details: { plugin: id },
    });
  };
  app.get(place, ({ params: { id } }: WithId, response) => {
    response.json({ plugin: id, ...standing(id) });
  });
  app.put(place, json, async (request: WithId, response) => {
    const { id } = request.params;
    const { granted } = readLines(request.body, ['granted']);
    requireAsked(id, standing(id), granted ?? []);
    await grants.set(id, granted ?? [], whoAsks(request));
    response.json({ plugin: id, ...standing(id) });
  });
  app.patch(place, json, async (request: WithId, response) => {
    const { id } = request.params;
    const { grant = [], revoke = [] } = readLines(request.body, ['grant', 'revoke']);
    requireAsked(id, standing(id), grant);
    requireGranted(id, grants, revoke);
    await grants.change(id, { grant, revoke }, whoAsks(request));
    response.json({ plugin: id, ...standing(id) });
  });
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
