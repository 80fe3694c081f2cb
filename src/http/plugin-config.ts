/** The config of a plugin over HTTP: seen with its tag, set, taken back, and what it was before. */
import { TenonError } from '../base/errors.js';
import type { PluginConfigs } from '../host/plugin-configs.js';
import type { PluginView } from '../host/plugin.js';
import { readConfigText } from './config-body.js';
import { includesTag, readEntityTags, tagValues } from './entity-tags.js';
import type { Answered, Asked, Operation, Parameter } from './operation.js';
import { dryRun, pluginId } from './parameters.js';
import { configRefusals, configSetRefusals } from './refusals.js';
import { anything, listOf, objectOf, ref, text } from './shapes.js';

const path = '/api/v1/plugins/{id}/config';

export interface PluginConfigRoutes {
  configs: PluginConfigs;
  show: (id: string) => PluginView;
}

const tagHeader = { etag: { description: 'Tag of the config, for `If-Match`', schema: text() } };

function condition(name: string, description: string): Parameter {
  return { name, in: 'header', description, schema: text() };
}

export function pluginConfigOperations(options: PluginConfigRoutes): Operation[] {
  const { configs } = options;
  const shared = { tag: 'config' } as const;
  return [
    {
      ...shared,
      id: 'showConfig',
      method: 'get',
      path,
      scope: 'read',
      summary: 'The config of a plugin, its schema, and who has said so',
      parameters: [pluginId, condition('If-None-Match', 'Tags of configs that are known')],
      answers: {
        200: { description: 'The config', headers: tagHeader, content: { 'application/json': ref('ConfigView') } },
        304: { description: 'It is known', headers: tagHeader },
      },
      errors: configRefusals,
      handle: (asked) => show(configs, asked),
    },
    {
      ...shared,
      id: 'listConfigs',
      method: 'get',
      path: `${path}/history`,
      scope: 'read',
      summary: 'The last 100 configs that were set',
      parameters: [pluginId],
      answers: {
        200: {
          description: 'Newest first',
          content: { 'application/json': objectOf({ history: listOf(ref('ConfigHistoryEntry')) }) },
        },
      },
      errors: [...configRefusals, 'RegistryUnavailable'],
      handle: async ({ path: { id = '' } }) => ({ body: { history: await configs.history(id) } }),
    },
    {
      ...shared,
      ...settingParts,
      id: 'setConfig',
      method: 'put',
      summary: 'Set the config of a plugin, on every host, and take it up',
      requestBody: {
        description: 'The config, as its schema has it',
        required: true,
        content: { 'application/json': anything() },
        read: 'text',
        limit: 512 * 1024,
      },
      handle: (asked) => set(options, asked, readConfig(asked.body)),
    },
    {
      ...shared,
      ...settingParts,
      id: 'unsetConfig',
      method: 'delete',
      summary: 'Go back to what the application says',
      handle: (asked) => set(options, asked, null),
    },
  ];
}

/** Of setting and unsetting. */
const settingParts = {
  path,
  scope: 'config',
  parameters: [
    pluginId,
    dryRun,
    condition('If-Match', 'Tags of configs that may be replaced'),
    condition('If-None-Match', 'Tags of configs that may not'),
  ],
  answers: {
    200: {
      description: 'What it has come to; without a tag when it was only tried',
      headers: tagHeader,
      content: { 'application/json': ref('ConfigChange') },
    },
  },
  errors: configSetRefusals,
} as const;

async function show(configs: PluginConfigs, { path: { id = '' }, request }: Asked): Promise<Answered> {
  const { view, tag } = await configs.show(id);
  const headers = { etag: `"${tag}"` };
  const known = request.headers['if-none-match'];
  if (known !== undefined && includesTag(tagValues(readEntityTags('If-None-Match', known), false), tag))
    return { status: 304, headers };
  return { headers, body: view };
}

async function set(options: PluginConfigRoutes, asked: Asked, config: unknown): Promise<Answered> {
  const {
    path: { id = '' },
    query,
    request,
  } = asked;
  const isTrial = query['dryRun'] === true;
  const change = await options.configs.set(id, { config, dryRun: isTrial, replaces: readPreconditions(request) });
  const { view, tag } = await options.configs.show(id);
  const { state, version, generation, loadedAt } = options.show(id);
  return {
    // Of a body that was only checked there is no tag, nor is there one any more when another one was set meanwhile.
    headers: !isTrial && view.revision === change.revision ? { etag: `"${tag}"` } : {},
    body: { ...change, plugin: { id, state, version, generation, loadedAt } },
  };
}

function readConfig(body: unknown): unknown {
  const next = 'send the config as a JSON object, or DELETE to go back to what its application says';
  let config: unknown;
  try {
    config = readConfigText(typeof body === 'string' ? body : '');
  } catch (cause) {
    if (cause instanceof TenonError) throw cause;
    throw new TenonError('BadRequest', `the body is no JSON: ${(cause as Error).message}`, { next, cause });
  }
  if (config === null) throw new TenonError('BadRequest', 'the body is null', { next });
  return config;
}

/** Whether the config with a tag may be replaced; undefined when the request does not say. */
function readPreconditions({ headers }: Asked['request']): ((tag: string) => boolean) | undefined {
  const { 'if-match': match, 'if-none-match': noneMatch } = headers;
  if (match === undefined && noneMatch === undefined) return undefined;
  const wanted = match === undefined ? '*' : tagValues(readEntityTags('If-Match', match), true);
  const unwanted = noneMatch === undefined ? [] : tagValues(readEntityTags('If-None-Match', noneMatch), false);
  return (tag) => includesTag(wanted, tag) && !includesTag(unwanted, tag);
}
