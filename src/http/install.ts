/** Installing over HTTP: an archive comes, a plugin goes. */
import type { Express, Request } from 'express';
import { TenonError } from '../base/errors.js';
import type { Installing, InstallOptions } from '../host/installing.js';
import { readTruth, refuseUnknown } from './parameters.js';
import { whoAsks } from './trust-admin.js';
import { takeUpload } from './upload.js';

export interface InstallRoutes {
  installing: Installing;
  /** Bytes of an archive. */
  limit: number;
}

export function installRoutes(app: Express, { installing, limit }: InstallRoutes): void {
  app.post('/api/v1/plugins/install', async (request, response) => {
    const options = readOptions(request);
    const upload = takeUpload(request, limit);
    try {
      const installed = await installing.install(upload.bytes, options);
      response.status(installed.status === 'installed' ? 201 : 200).json(installed);
    } finally {
      upload.stop();
    }
  });
  app.delete('/api/v1/plugins/:id', async (request, response) => {
    const { purge, ...others } = request.query;
    refuseUnknown(others, 'purge');
    response.json(
      await installing.uninstall(request.params.id, { purge: readTruth('purge', purge), by: whoAsks(request) }),
    );
  });
}

function readOptions(request: Request): InstallOptions {
  const { dryRun, allowDowngrade, grant, ...others } = request.query;
  refuseUnknown(others, 'dryRun, allowDowngrade and grant');
  return {
    dryRun: readTruth('dryRun', dryRun),
    allowDowngrade: readTruth('allowDowngrade', allowDowngrade),
    ...(grant === undefined ? {} : { grant: readGrants(grant) }),
    origin: 'upload',
    by: whoAsks(request),
  };
}

function readGrants(given: unknown): readonly string[] | 'all' {
  const lines = [given].flat();
  if (!lines.every((line) => typeof line === 'string' && line !== ''))
    throw new TenonError('BadRequest', 'grant: each one is a permission', { next: 'see docs/plugin-permissions.md' });
  return lines.includes('all') ? 'all' : (lines as string[]);
}
