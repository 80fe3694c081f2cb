/** The trust list and the audit log over HTTP. */
import express, { type Express, type Request } from 'express';
import { TenonError } from '../base/errors.js';
import type { Audit } from '../bundle/audit.js';
import { hashOf, keyIdIn, killedOf, trustedKeyOf, TrustRefused } from '../bundle/trust-list.js';
import type { Trust } from '../bundle/trust.js';

export interface TrustAdminOptions {
  trust: Trust;
  audit: Audit;
  /** Told of what was killed, once it is on the list: what runs of it is to be taken down before this resolves. */
  killed: (sha256: string) => Promise<void>;
}

const bodyLimit = 64 * 1024;
const linesLimit = 1000;
const usualLines = 100;

export function trustRoutes(app: Express, { trust, audit, killed }: TrustAdminOptions): void {
  // Any content type: curl says form by itself, and there is only one way to read it.
  const json = express.json({ limit: bodyLimit, type: () => true });
  app.get('/api/v1/trust', async (_request, response) => {
    response.json({ file: trust.file, ...(await trust.list()) });
  });
  app.post('/api/v1/trust/keys', json, async (request, response) => {
    const key = asked(() => trustedKeyOf(request.body));
    const { keyId, name, plugins } = key;
    const message = `${name === '' ? 'a key' : name}: ${plugins.join(', ')}`;
    await trust.add(key, () => audit.write({ action: 'trust', keyId, message, by: whoAsks(request) }));
    response.json({ status: 'trusted', key });
  });
  app.delete('/api/v1/trust/keys/:keyId', async (request: Request<{ keyId: string }>, response) => {
    const keyId = asked(() => keyIdIn(request.params.keyId));
    await trust.remove(keyId, () => audit.write({ action: 'distrust', keyId, by: whoAsks(request) }));
    response.json({ status: 'removed', keyId });
  });
  app.post('/api/v1/trust/killed', json, async (request, response) => {
    const entry = asked(() => killedOf(request.body));
    const { sha256, reason } = entry;
    await trust.kill(entry, () => audit.write({ action: 'kill', sha256, message: reason, by: whoAsks(request) }));
    await killed(sha256);
    response.json({ status: 'killed', killed: entry });
  });
  app.delete('/api/v1/trust/killed/:sha256', async (request: Request<{ sha256: string }>, response) => {
    const sha256 = asked(() => hashOf(request.params.sha256));
    await trust.spare(sha256, () => audit.write({ action: 'spare', sha256, by: whoAsks(request) }));
    response.json({ status: 'spared', sha256 });
  });
  app.get('/api/v1/audit', async (request, response) => {
    response.json({ entries: await audit.entries(linesOf(request.query['limit'])) });
  });
  app.get('/api/v1/audit/check', async (_request, response) => {
    response.json(await audit.check());
  });
}

/** As the audit log names whoever asks over the API. */
export function whoAsks({ socket }: Pick<Request, 'socket'>): string {
  return `api ${socket.remoteAddress ?? ''}`.trimEnd();
}

/** What a request says, checked. Throws `KeyInvalid` for a key, `BadRequest` for everything else. */
function asked<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TrustRefused)) throw error;
    const { pointer, message } = error;
    throw new TenonError(
      pointer === '/key' ? 'KeyInvalid' : 'BadRequest',
      `${pointer === '' ? 'it' : pointer} ${message}`,
      {
        details: { pointer },
        cause: error,
      },
    );
  }
}

function linesOf(limit: unknown): number {
  const count = limit === undefined ? usualLines : typeof limit === 'string' ? Number(limit) : Number.NaN;
  if (Number.isInteger(count) && count >= 1 && count <= linesLimit) return count;
  throw new TenonError('BadRequest', `limit: ${JSON.stringify(limit)} is not a whole number from 1 to ${linesLimit}`);
}
