/** Dry runs over HTTP: what they answer, and what is found in a library that somebody sends. */
import type { IncomingMessage } from 'node:http';
import { TenonError } from '../base/errors.js';
import type { Plugins } from '../host/plugins.js';
import { announcedLength, readBody } from './body.js';
import type { Operation, Schema } from './operation.js';

/** A library as it was tried, in an answer. */
const triedLibrarySchema: Schema = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    version: { type: 'string' },
    sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' },
    size: { type: 'integer', minimum: 0, description: 'Bytes' },
    abi: { type: 'string' },
    compiler: { type: 'string' },
    routes: { type: 'array', items: { type: 'string' }, description: '`GET /items/:id`' },
    moreRoutes: { type: 'integer', minimum: 1, description: 'Routes that are too many to be told' },
    findings: {
      type: 'array',
      items: {
        type: 'object',
        properties: { rule: { type: 'string' }, detail: { type: 'string' }, pins: { type: 'boolean' } },
        required: ['rule', 'detail', 'pins'],
      },
    },
  },
  required: ['id', 'version', 'sha256', 'size', 'abi', 'compiler', 'routes', 'findings'],
};

/** What an action would come to, in an answer. */
export const rehearsedSchema: Schema = {
  type: 'object',
  properties: {
    status: { const: 'valid' },
    would: { type: 'string', enum: ['load', 'replace', 'unchanged', 'disabled'] },
    plugin: {
      type: 'object',
      properties: { id: { type: 'string' }, state: { type: 'string' }, generation: { type: 'integer' } },
      required: ['id', 'state'],
    },
    from: { type: 'object' },
    to: triedLibrarySchema,
    tables: { type: 'array', items: { type: 'string' } },
    warnings: { type: 'array', items: { type: 'string' } },
    phases: { type: 'object', additionalProperties: { type: 'number' }, description: 'ms' },
  },
  required: ['status', 'would', 'plugin', 'warnings', 'phases'],
};

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
            'application/json': {
              type: 'object',
              properties: { status: { const: 'valid' }, library: triedLibrarySchema },
              required: ['status', 'library'],
            },
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
