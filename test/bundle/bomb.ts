/** Reads archives that never end, or are much larger than they look; prints what became of each, and the memory it took: `bomb.ts NAME …`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { constants, createDeflateRaw } from 'node:zlib';
import { TenonError } from '../../src/base/errors.js';
import { readArchive } from '../../src/bundle/archive.js';
import { pax, paxRecord, rawEntry, rawHeader, rawTar, zip } from './raw-tar.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const mebibyte = 1024 ** 2;
const gzipHeader = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);

/** What `parts` deflate to, each so that it can be repeated. */
async function* deflated(parts: Iterable<Buffer>): AsyncGenerator<Buffer> {
  yield gzipHeader;
  const deflate = createDeflateRaw({ level: 6 });
  for (const part of parts) {
    const flushed = new Promise<void>((resolve) => {
      deflate.write(part);
      deflate.flush(constants.Z_FULL_FLUSH, resolve);
    });
    await flushed;
    const bytes = deflate.read() as Buffer | null;
    if (bytes !== null) yield bytes;
  }
}

function* forever(...parts: Buffer[]): Generator<Buffer> {
  for (;;) yield* parts;
}

function* after(first: Buffer, rest: Iterable<Buffer>): Generator<Buffer> {
  yield first;
  yield* rest;
}

async function* endless(first: Buffer, rest: Buffer): AsyncGenerator<Buffer> {
  yield first;
  for (;;) {
    yield rest;
    await nextTurn();
  }
}

/** Compresses to a hundredth. */
const dense = Buffer.alloc(mebibyte, 'x');
for (let at = 0; at < dense.length; at += 2048) dense.writeDoubleLE(Math.sin(at), at);
/** Does not compress. */
const noise = Buffer.alloc(mebibyte);
for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE((Math.imul(at, 2654435761) ^ (at >>> 3)) >>> 0, at);
const stored = (bytes: Buffer): Buffer => {
  const head = Buffer.from([0, 0, 0, 0, 0]);
  head.writeUInt16LE(bytes.length, 1);
  head.writeUInt16LE(~bytes.length & 0xffff, 3);
  return Buffer.concat([head, bytes]);
};
const full = '00400000000\0';
const numbered = function* (): Generator<Buffer> {
  for (let at = 0; ; at += 1) yield rawHeader({ name: `f${at}` });
};
/** Half of it does not compress. */
const remark = noise.toString('hex', 0, 4000);
const commented = function* (): Generator<Buffer> {
  for (let at = 0; ; at += 1)
    yield Buffer.concat([rawEntry(pax(paxRecord('comment', remark))), rawHeader({ name: `f${at}` })]);
};

const bombs: Readonly<Record<string, () => Uint8Array | AsyncIterable<Uint8Array>>> = {
  'zeros for ever': () => deflated(after(rawHeader({ size: full }), forever(Buffer.alloc(mebibyte)))),
  '64 MiB that compress well, and more': () => deflated(after(rawHeader({ size: full }), forever(dense))),
  '64 MiB that do not compress, and more': () =>
    endless(
      Buffer.concat([gzipHeader, stored(rawHeader({ size: full }))]),
      Buffer.concat(Array.from({ length: 32 }, (_, at) => stored(noise.subarray(at * 32_768, (at + 1) * 32_768)))),
    ),
  'a million entries': () => deflated(numbered()),
  'extended headers for ever': () => deflated(commented()),
  'zeros behind the end': () => deflated(after(rawTar([{ body: 'x' }]), forever(dense.map(() => 0) as Buffer))),
  'empty blocks for ever': () =>
    endless(gzipHeader, Buffer.concat(Array.from({ length: 20_000 }, () => stored(Buffer.alloc(0))))),
  'a name for ever': () => endless(Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.alloc(65_536, 'x')),
  'nothing for ever': () => endless(gzipHeader, Buffer.alloc(0)),
  '60 MiB of nothing at once': () => zip(rawTar([{ body: Buffer.alloc(60 * mebibyte) }])),
};

/** Bytes of memory that this process holds now, and the most since the last time this was asked. */
function resident(): { now: number; peak: number } {
  const status = readFileSync('/proc/self/status', 'utf8');
  const value = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return { now: value('VmRSS'), peak: value('VmHWM') };
}

await readArchive(zip(rawTar([{ body: noise }])));
const outcomes: Record<string, { said: string; growth: number }> = {};
for (const name of process.argv.slice(2)) {
  const source = bombs[name]?.() ?? new Uint8Array();
  collect();
  await nextTurn();
  writeFileSync('/proc/self/clear_refs', '5');
  const { now } = resident();
  const said = await readArchive(source, { timeMs: name.startsWith('nothing') ? 100 : 60_000 }).then(
    (files) => `read ${files.length}`,
    (error: unknown) =>
      error instanceof TenonError ? `${error.code} ${String(error.details['rule'])}` : String(error),
  );
  outcomes[name] = { said, growth: Math.round(((resident().peak - now) / mebibyte) * 10) / 10 };
}
console.log(JSON.stringify(outcomes));
// Nobody waits for what is still to come: this ends the process although the last source never does.
void readArchive(
  (async function* () {
    yield gzipHeader;
    await new Promise(() => undefined);
  })(),
  { timeMs: 3_600_000 },
);
