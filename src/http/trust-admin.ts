/** The trust list and the audit log over HTTP. */
import { TenonError } from '../base/errors.js';
import type { Audit } from '../bundle/audit.js';
import { hashOf, keyIdIn, killedOf, trustedKeyOf, TrustRefused } from '../bundle/trust-list.js';
import type { Trust } from '../bundle/trust.js';
import type { Operation, Parameter, RequestBody, Schema } from './operation.js';
import { keyId as keyIdShape } from './shapes-host.js';
import { always, listOf, objectOf, optional, ref, sha256 as hashShape, text, whole } from './shapes.js';

export interface TrustAdminOptions {
  trust: Trust;
  audit: Audit;
  /** Told of what was killed, once it is on the list: what runs of it is to be taken down before this resolves. */
  killed: (sha256: string) => Promise<void>;
}

const usualLines = 100;
const unwritten = ['KeyInvalid', 'NotRecorded'] as const;

function bodyOf(schema: Schema): RequestBody {
  const content = { 'application/json': schema };
  return { description: 'What is to be on the list', required: true, content, read: 'json', limit: 64 * 1024 };
}

function answer(members: Parameters<typeof objectOf>[0]): Operation['answers'] {
  return { 200: { description: 'It is on the disk', content: { 'application/json': objectOf(members) } } };
}

export function trustOperations(options: TrustAdminOptions): Operation[] {
  return [...keyOperations(options), ...killOperations(options), ...auditOperations(options)];
}

function keyOperations({ trust, audit }: TrustAdminOptions): Operation[] {
  return [
    {
      id: 'showTrust',
      tag: 'trust',
      method: 'get',
      path: '/api/v1/trust',
      scope: 'read',
      summary: 'Who may sign what, and what may not be loaded at all',
      answers: {
        200: {
          description: 'The trust list',
          content: {
            'application/json': objectOf({
              file: text('On the host'),
              keys: listOf(ref('TrustedKey')),
              killed: listOf(ref('Killed')),
            }),
          },
        },
      },
      errors: ['KeyInvalid'],
      handle: async () => ({ body: { file: trust.file, ...(await trust.list()) } }),
    },
    {
      id: 'trustKey',
      tag: 'trust',
      method: 'post',
      path: '/api/v1/trust/keys',
      scope: 'install',
      summary: 'Trust a key with the plugins it names',
      requestBody: bodyOf(
        objectOf({
          key: text('The line of a minisign public key'),
          keyId: optional(keyIdShape),
          name: optional(text('Whose it is', { maxLength: 500 })),
          plugins: listOf(text('Id of a plugin, or a pattern of ids with `*`'), undefined, {
            minItems: 1,
            maxItems: 100,
          }),
        }),
      ),
      answers: answer({ status: always('trusted'), key: ref('TrustedKey') }),
      errors: unwritten,
      handle: async ({ body, by }) => {
        const key = asked(() => trustedKeyOf(body));
        const { keyId, name, plugins } = key;
        const message = `${name === '' ? 'a key' : name}: ${plugins.join(', ')}`;
        await trust.add(key, () => audit.write({ action: 'trust', keyId, message, by }));
        return { body: { status: 'trusted', key } };
      },
    },
    {
      id: 'distrustKey',
      tag: 'trust',
      method: 'delete',
      path: '/api/v1/trust/keys/{keyId}',
      scope: 'install',
      summary: 'Trust a key no more',
      parameters: [inPath('keyId', 'Id of the key', keyIdShape)],
      answers: answer({ status: always('removed'), keyId: keyIdShape }),
      errors: unwritten,
      handle: async ({ path: { keyId: given }, by }) => {
        const keyId = asked(() => keyIdIn(given));
        await trust.remove(keyId, () => audit.write({ action: 'distrust', keyId, by }));
        return { body: { status: 'removed', keyId } };
      },
    },
  ];
}

function killOperations({ trust, audit, killed }: TrustAdminOptions): Operation[] {
  return [
    {
      id: 'killBundle',
      tag: 'trust',
      method: 'post',
      path: '/api/v1/trust/killed',
      scope: 'install',
      summary: 'Take down what runs of a library or bundle, and load it no more',
      requestBody: bodyOf(
        objectOf({
          sha256: hashShape('Of a library, or of a manifest'),
          reason: optional(text('For people', { maxLength: 500 })),
        }),
      ),
      answers: answer({ status: always('killed'), killed: ref('Killed') }),
      errors: unwritten,
      handle: async ({ body, by }) => {
        const entry = asked(() => killedOf(body));
        const { sha256, reason } = entry;
        await trust.kill(entry, () => audit.write({ action: 'kill', sha256, message: reason, by }));
        await killed(sha256);
        return { body: { status: 'killed', killed: entry } };
      },
    },
    {
      id: 'spareBundle',
      tag: 'trust',
      method: 'delete',
      path: '/api/v1/trust/killed/{sha256}',
      scope: 'install',
      summary: 'Take a library or bundle off the kill list',
      parameters: [inPath('sha256', 'Of a library, or of a manifest', hashShape())],
      answers: answer({ status: always('spared'), sha256: hashShape() }),
      errors: unwritten,
      handle: async ({ path: { sha256: given }, by }) => {
        const sha256 = asked(() => hashOf(given));
        await trust.spare(sha256, () => audit.write({ action: 'spare', sha256, by }));
        return { body: { status: 'spared', sha256 } };
      },
    },
  ];
}

function auditOperations({ audit }: TrustAdminOptions): Operation[] {
  return [
    {
      id: 'listAudit',
      tag: 'trust',
      method: 'get',
      path: '/api/v1/audit',
      scope: 'read',
      summary: 'What was installed, refused, removed, trusted and granted, by whom',
      parameters: [
        {
          name: 'limit',
          in: 'query',
          description: `At most so many; ${usualLines} by default`,
          schema: whole(undefined, { minimum: 1, maximum: 1000 }),
        },
      ],
      answers: {
        200: {
          description: 'Newest first',
          content: { 'application/json': objectOf({ entries: listOf(ref('AuditLine')) }) },
        },
      },
      errors: ['NotRecorded'],
      handle: async ({ query: { limit = usualLines } }) => ({
        body: { entries: await audit.entries(limit as number) },
      }),
    },
    {
      id: 'checkAudit',
      tag: 'trust',
      method: 'get',
      path: '/api/v1/audit/check',
      scope: 'read',
      summary: 'Whether the audit log is whole',
      answers: { 200: { description: 'What was found', content: { 'application/json': ref('AuditCheck') } } },
      errors: ['NotRecorded'],
      handle: async () => ({ body: await audit.check() }),
    },
  ];
}

function inPath(name: string, description: string, schema: Schema): Parameter {
  return { name, in: 'path', description, schema };
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
