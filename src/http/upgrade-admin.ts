/** Another release of Tenon over HTTP, in the place of the one that serves. */
import path from 'node:path';
import { TenonError } from '../base/errors.js';
import type { Audit } from '../bundle/audit.js';
import type { Operation } from './operation.js';
import { always, objectOf, text } from './shapes.js';

/**
 * Has a host of the package in `folder` (absolute; absent: where this one came from) stand by, and this one begin anew as that: resolves
 * with its version when it stands by. Rejects with `ReleaseInvalid`, `UpgradeRunning`, `HostClosing` and, when it does not come to that,
 * `UpgradeFailed`; then this one goes on.
 */
export type Upgrade = (folder?: string) => Promise<{ readonly version: string }>;

const bodyLimit = 16 * 1024;

/** @param upgrade absent where no parent process runs the host */
export function upgradeOperations(upgrade: Upgrade | undefined, audit: Pick<Audit, 'write'>): Operation[] {
  return [
    {
      id: 'upgradeHost',
      tag: 'host',
      method: 'post',
      path: '/api/v1/upgrade',
      scope: 'admin',
      summary: 'Go on as another release of Tenon, without refusing a connection',
      description:
        'A host of that release stands by first: when it does not within 60 s, this one goes on and nothing has changed. Then requests under way end here, while everybody is served still, and new ones are served there. The parent process stays what it is until it is started again.',
      requestBody: {
        description: 'Which release',
        required: false,
        content: {
          'application/json': {
            type: 'object',
            properties: {
              folder: text('Absolute path of the package on the host; where this one came from when it is not given'),
            },
            additionalProperties: false,
          },
        },
        read: 'json',
        limit: bodyLimit,
      },
      answers: {
        200: {
          description: 'It stands by, and takes over now',
          content: { 'application/json': objectOf({ status: always('upgrading'), version: text() }) },
        },
      },
      errors: ['UpgradeUnavailable', 'UpgradeRunning', 'ReleaseInvalid', 'UpgradeFailed', 'HostClosing', 'NotRecorded'],
      handle: async ({ body, by }) => {
        const folder = folderIn(body);
        if (upgrade === undefined) throw unavailable();
        await audit.write({ action: 'upgradeHost', message: folder ?? 'the folder it came from', by });
        const { version } = await upgrade(folder);
        return { body: { status: 'upgrading', version } };
      },
    },
  ];
}

function unavailable(): TenonError {
  return new TenonError('UpgradeUnavailable', 'no parent process runs this host: it cannot run another one', {
    next: 'upgrade the program that the host is part of, and start it again',
  });
}

/** Throws `BadRequest`. */
function folderIn(body: unknown): string | undefined {
  const given = Object.entries((body ?? {}) as Record<string, unknown>);
  const [unknown] = given.find(([name]) => name !== 'folder') ?? [];
  if (unknown !== undefined)
    throw new TenonError('BadRequest', `${JSON.stringify(unknown)} is not known; there is folder`);
  const [, folder] = given[0] ?? [];
  if (folder === undefined) return undefined;
  if (typeof folder !== 'string' || !path.isAbsolute(folder) || folder.includes('\0'))
    throw new TenonError('BadRequest', 'folder: must be an absolute path, on the machine of the host');
  return folder;
}
