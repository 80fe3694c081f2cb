/** Hot reload over HTTP: what it does, on and off, its configuration, and a reload at once. */
import express, { type Express, type Request } from 'express';
import { TenonError } from '../base/errors.js';
import type { Plugins } from '../host/plugins.js';
import type { ReloadRecord } from '../host/record.js';
import { answerOf } from './action.js';

/** What the routes steer. */
export interface HotReload {
  status: () => object;
  enable: () => Promise<void>;
  disable: () => Promise<void>;
  /** Rejects as `Plugins.reload` does. */
  trigger: (id: string) => Promise<ReloadRecord>;
  /** Rejects with TypeError, and then nothing is changed; the status. */
  configure: (changes: Record<string, unknown>) => Promise<object>;
}

const bodyLimit = 64 * 1024;

export function hotReloadRoutes(app: Express, host: Plugins, hotReload: HotReload): void {
  app.get('/api/v1/hot-reload/status', (_request, response) => {
    response.json(hotReload.status());
  });
  for (const action of ['enable', 'disable'] as const)
    app.post(`/api/v1/hot-reload/${action}`, async (_request, response) => {
      await hotReload[action]();
      response.json(hotReload.status());
    });
  app.post('/api/v1/hot-reload/trigger/:id', async (request: Request<{ id: string }>, response) => {
    const { id } = request.params;
    const reload = await hotReload.trigger(id);
    response.json(answerOf('reload', host.show(id), reload));
  });
  // Any content type: curl says form by itself, and there is only one way to read it.
  const json = express.json({ limit: bodyLimit, type: () => true });
  app.put('/api/v1/hot-reload/config', json, async (request, response) => {
    try {
      response.json(await hotReload.configure((request.body ?? {}) as Record<string, unknown>));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new TenonError('BadRequest', error.message, { next: 'see docs/hot-reload.md', cause: error });
    }
  });
}
