/** The one file that a request carries: as its body, or as the field `file` of a form. */
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import busboy, { type Busboy } from 'busboy';
import { TenonError } from '../base/errors.js';
import { announcedLength, beginBody } from './body.js';

/** What a file by itself may be called. */
export const plainTypes = [
  'application/gzip',
  'application/x-gzip',
  'application/x-tar+gzip',
  'application/x-compressed-tar',
  'application/octet-stream',
];
export const formType = 'multipart/form-data';
/** What the frame of a form may add to its file, bytes. */
const frameBytes = 64 * 1024;

/** A file that is on its way. */
export interface Upload {
  /**
   * Its bytes as they come; may be gone through once. Fails with `ArchiveTooLarge` beyond the limit, and with `BadRequest` when the
   * request breaks off or is no form of one file.
   */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Read no more of it. Stopping twice is fine. */
  stop(): void;
}

/** Begin to take the file of `request`, of `limit` bytes at most. Throws `ContentTypeUnsupported`, `BadRequest` and `ArchiveTooLarge`. */
export function takeUpload(request: IncomingMessage, limit: number): Upload {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  const isForm = type === formType;
  if (!isForm && !plainTypes.includes(type))
    throw new TenonError(
      'ContentTypeUnsupported',
      `the body is ${JSON.stringify(type)}, neither ${formType} nor an archive`,
      {
        next: `send the archive as ${plainTypes[0]}, or as the field "file" of a form`,
        details: { type, supported: [formType, ...plainTypes] },
      },
    );
  const length = announcedLength(request);
  if (length === 0) throw new TenonError('BadRequest', 'the request has no body', { next: 'send the archive' });
  if (length > limit + (isForm ? frameBytes : 0)) throw tooLarge(limit, length);
  const file = new PassThrough();
  const end = isForm ? readForm(request, file, limit) : readPlain(request, file, limit);
  const broken = (): void =>
    void file.destroy(new TenonError('BadRequest', 'the request broke off before its end', { next: 'send it again' }));
  const cut = (): void => {
    if (!request.complete) broken();
  };
  request.once('close', cut);
  request.once('error', broken);
  // Nobody may be reading yet, or any more.
  file.on('error', () => {});
  let stopped = false;
  const stop = (): void => {
    if (stopped) return;
    stopped = true;
    request.off('close', cut);
    end();
    file.destroy();
  };
  beginBody(request);
  return { bytes: file, stop };
}

/** What is returned ends the reading. */
function readPlain(request: IncomingMessage, file: PassThrough, limit: number): () => void {
  let size = 0;
  const count = (chunk: Buffer): void => {
    size += chunk.length;
    if (size > limit) file.destroy(tooLarge(limit));
  };
  request.on('data', count);
  request.pipe(file);
  return () => {
    request.off('data', count);
    request.unpipe(file);
  };
}

function readForm(request: IncomingMessage, file: PassThrough, limit: number): () => void {
  const form = openForm(request, limit);
  let files = 0;
  const refuse = (sentence: string): void =>
    void file.destroy(
      new TenonError('BadRequest', sentence, { next: 'send one file, as the field "file", and nothing else' }),
    );
  form.on('file', (name, stream) => {
    files += 1;
    if (name !== 'file' || files > 1) {
      stream.resume();
      refuse(name === 'file' ? 'the form has more than one file' : `the form has a field ${JSON.stringify(name)}`);
      return;
    }
    stream.on('limit', () => file.destroy(tooLarge(limit)));
    stream.on('error', () => refuse('the form ended within its file'));
    stream.on('data', (chunk: Buffer) => {
      if (!file.write(chunk)) {
        stream.pause();
        file.once('drain', () => stream.resume());
      }
    });
  });
  form.on('field', (name) => refuse(`the form has a field ${JSON.stringify(name)}`));
  for (const event of ['filesLimit', 'fieldsLimit', 'partsLimit'] as const)
    form.on(event, () => refuse('the form has more than one field'));
  form.on('error', (error) =>
    refuse(`the form cannot be read: ${error instanceof Error ? error.message : String(error)}`),
  );
  form.on('close', () => {
    if (files === 0) refuse('the form has no file');
    else file.end();
  });
  let size = 0;
  const count = (chunk: Buffer): void => {
    size += chunk.length;
    if (size > limit + frameBytes) file.destroy(tooLarge(limit));
  };
  request.on('data', count);
  request.pipe(form);
  return () => {
    request.off('data', count);
    request.unpipe(form);
    form.removeAllListeners();
    form.on('error', () => {});
    form.destroy();
  };
}

function openForm({ headers }: IncomingMessage, limit: number): Busboy {
  try {
    const limits = {
      fileSize: limit + 1,
      files: 1,
      fields: 1,
      fieldSize: 1024,
      fieldNameSize: 64,
      parts: 2,
      headerPairs: 32,
    };
    return busboy({ headers, limits });
  } catch (cause) {
    throw new TenonError('BadRequest', `the form cannot be read: ${(cause as Error).message}`, {
      next: 'send it with a boundary in its content type',
      cause,
    });
  }
}

function tooLarge(limit: number, length?: number): TenonError {
  const what = length === undefined ? 'is larger' : `has ${length} bytes`;
  return new TenonError('ArchiveTooLarge', `the archive ${what}, the limit is ${limit} bytes`, {
    next: 'leave out what the plugin does not need, or raise limits.bundle',
    details: { limit, rule: 'bytes' },
  });
}
