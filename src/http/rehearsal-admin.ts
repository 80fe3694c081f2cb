/** Dry runs over HTTP: what they answer, and what is found in a library that somebody sends. */
import type { IncomingMessage } from 'node:http';
import { TenonError } from '../base/errors.js';
import type { Plugins } from '../host/plugins.js';
import { announcedLength, readBody } from './body.js';
import type { Operation } from './operation.js';
import { always, objectOf, ref } from './shapes.js';

/** @param limit bytes of a library */
export function rehearsalOperations(host: Plugins, limit: number): Operation[] {
  return [
    {
      id: 'validateLibrary',
      tag: 'plugins',
      method: 'post',
      path: '/api/v1/plugins/validate',
      scope: 'install',
      summary: 'Admit and try a library as if it were to be loaded; nothing is kept of it',
      requestBody: {
        description: 'The library',
        required: true,
        content: { 'application/octet-stream': { type: 'string', format: 'binary', maxLength: limit } },
        read: 'raw',
        limit,
      },
      answers: {
        200: {
          description: 'It would be admitted',
          content: {
            'application/json': objectOf({ status: always('valid'), library: ref('TriedLibrary') }),
          },
        },
      },
      errors: [
        'ImageTooLarge',
        'ImageTruncated',
        'ImageFormat',
        'ImageArchitecture',
        'ImageNoteMissing',
        'EntrypointNotFound',
        'AbiUnsupported',
        'PluginIdMismatch',
        'RouteInvalid',
        'TrialOpenFailed',
        'TrialCrashed',
        'TrialExited',
        'TrialTimeout',
        'TrialRefused',
        'TrialUnavailable',
        'ConfinementMissing',
        'StagingFailed',
        'BundleKilled',
        'KeyInvalid',
        'HostClosing',
      ],
      handle: async ({ request }) => {
        const library = await host.rehearseLibrary(await takeLibrary(request, limit));
        return { body: { status: 'valid', library } };
      },
    },
  ];
}

/** Never settles when the client goes before the end: nobody waits then. */
function takeLibrary(request: IncomingMessage, limit: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const length = announcedLength(request);
    const tooLarge = (): void =>
      reject(
        new TenonError('ImageTooLarge', `the library is larger than ${limit} bytes`, {
          next: 'strip it, or raise limits.image',
          details: { limit },
        }),
      );
    if (length === 0)
      reject(new TenonError('BadRequest', 'the request has no body', { next: 'send the library as the body' }));
    else if (length > limit) tooLarge();
    else readBody(request, limit, resolve, tooLarge);
  });
}
