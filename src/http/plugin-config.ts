/** The config of a plugin over HTTP: seen with its tag, set, taken back, and what it was before. */
import express, { type Express, type Request, type Response } from 'express';
import { TenonError } from '../base/errors.js';
import type { PluginConfigs } from '../host/plugin-configs.js';
import type { PluginView } from '../host/plugin.js';
import { includesTag, readEntityTags, tagValues } from './entity-tags.js';
import { readTruth, refuseUnknown } from './parameters.js';

const bodyLimit = 512 * 1024;
const place = '/api/v1/plugins/:id/config';

type WithId = Request<{ id: string }>;

export interface PluginConfigRoutes {
  configs: PluginConfigs;
  show: (id: string) => PluginView;
}

export function pluginConfigRoutes(app: Express, { configs, show }: PluginConfigRoutes): void {
  app.get(place, async (request: WithId, response) => {
    const { view, tag } = await configs.show(request.params.id);
    response.setHeader('etag', `"${tag}"`);
    const known = request.headers['if-none-match'];
    if (known !== undefined && includesTag(tagValues(readEntityTags('If-None-Match', known), false), tag)) {
      response.status(304).end();
      return;
    }
    response.json(view);
  });
  app.get(`${place}/history`, async (request: WithId, response) => {
    response.json({ history: await configs.history(request.params.id) });
  });
  const set = async (request: WithId, response: Response, config: unknown): Promise<void> => {
    const { id } = request.params;
    const { dryRun: given, ...others } = request.query;
    refuseUnknown(others, 'dryRun');
    const dryRun = readTruth('dryRun', given);
    const change = await configs.set(id, { config, dryRun, replaces: readPreconditions(request) });
    const { view, tag } = await configs.show(id);
    // Of a body that was only checked there is no tag, nor is there one any more when another one was set meanwhile.
    if (!dryRun && view.revision === change.revision) response.setHeader('etag', `"${tag}"`);
    const { state, version, generation, loadedAt } = show(id);
    response.json({ ...change, plugin: { id, state, version, generation, loadedAt } });
  };
  // Any content type: curl says form by itself, and there is only one way to read it.
  const text = express.text({ limit: bodyLimit, type: () => true });
  app.put(place, text, (request: WithId, response) => set(request, response, readConfig(request.body)));
  app.delete(place, (request: WithId, response) => set(request, response, null));
}

function readConfig(body: unknown): unknown {
  const next = 'send the config as a JSON object, or DELETE to go back to what its application says';
  let config: unknown;
  try {
    config = JSON.parse(typeof body === 'string' ? body : '');
  } catch (cause) {
    throw new TenonError('BadRequest', `the body is no JSON: ${(cause as Error).message}`, { next, cause });
  }
  if (config === null) throw new TenonError('BadRequest', 'the body is null', { next });
  return config;
}

/** Whether the config with a tag may be replaced; undefined when the request does not say. */
function readPreconditions({ headers }: WithId): ((tag: string) => boolean) | undefined {
  const { 'if-match': match, 'if-none-match': noneMatch } = headers;
  if (match === undefined && noneMatch === undefined) return undefined;
  const wanted = match === undefined ? '*' : tagValues(readEntityTags('If-Match', match), true);
  const unwanted = noneMatch === undefined ? [] : tagValues(readEntityTags('If-None-Match', noneMatch), false);
  return (tag) => includesTag(wanted, tag) && !includesTag(unwanted, tag);
}
