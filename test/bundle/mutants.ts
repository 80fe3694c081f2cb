/** Tar files that differ from a sound one in a few bytes, mostly where they mean something; the same ones for the same seed. */
import fc from 'fast-check';
import { blockBytes, mendChecksum, pax, paxRecord, type RawEntry, rawTar, zip } from './raw-tar.js';

const soundEntries: readonly RawEntry[] = [
  { name: 'manifest.json', body: '{"id": "sound"}' },
  { name: 'data/', type: '5', mode: '0000755\0' },
  { name: 'data/one.json', body: 'x'.repeat(700) },
  pax(paxRecord('path', `${'long/'.repeat(10)}${'n'.repeat(120)}`), paxRecord('mtime', '1700000000.25')),
  { name: 'short', body: Buffer.alloc(512, 'y') },
  { name: 'file', prefix: 'in/two/parts', body: 'z', magic: 'ustar\x0000' },
  { name: 'gnu', body: 'g', magic: 'ustar  \0' },
  { name: 'empty' },
];

/** The tar that mutants differ from. */
export const sound = rawTar(soundEntries);

const headerPlaces = [...Array(sound.length / blockBytes).keys()].filter((block) =>
  sound.toString('latin1', block * blockBytes + 257, block * blockBytes + 262).startsWith('ustar'),
);
const meaningful = [
  0, 2, 99, 100, 106, 107, 124, 133, 134, 135, 148, 154, 155, 156, 157, 257, 262, 263, 264, 329, 345, 346, 500,
];
const tellingBytes = [
  0, 0x20, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x35, 0x37, 0x41, 0x61, 0x78, 0x67, 0x4c, 0x7f, 0x80, 0xff,
];

const change = fc.record({
  header: fc.constantFrom(...headerPlaces),
  at: fc.oneof(fc.constantFrom(...meaningful), fc.nat(blockBytes - 1)),
  byte: fc.oneof(fc.constantFrom(...tellingBytes), fc.nat(255)),
});
const anywhere = fc.record({ place: fc.nat(sound.length - 1), byte: fc.nat(255) });

/** The tar with other bytes in it; most have right checksums. */
const changed = fc
  .record({
    changes: fc.array(change, { minLength: 1, maxLength: 3 }),
    bytes: fc.array(anywhere, { maxLength: 1 }),
    mend: fc.integer({ min: 0, max: 9 }),
    cut: fc.oneof({ weight: 19, arbitrary: fc.constant(sound.length) }, { weight: 1, arbitrary: fc.nat(sound.length) }),
  })
  .map(({ changes, bytes, mend, cut }) => {
    const tar = Buffer.from(sound);
    for (const { place, byte } of bytes) tar[place] = byte;
    for (const { header, at, byte } of changes) tar[header * blockBytes + at] = byte;
    if (mend > 0)
      for (const header of headerPlaces) mendChecksum(tar.subarray(header * blockBytes, (header + 1) * blockBytes));
    return zip(tar.subarray(0, cut));
  });

const key = fc.constantFrom(
  'path',
  'path',
  'path',
  'mtime',
  'comment',
  'uname',
  'gid',
  'size',
  'linkpath',
  'Path',
  'hdrcharset',
);
/** Some of which are others in other forms, or in another case. */
const letters = Array.from(
  'aAeuk1.ßſéüÅΩςσǆẛ각가ᄀ\u1161\u11a8\u0301\u0308\u0323\u0345\u0f71\u0958\u2126\ufb2a\u{1d15e}\u{110ab}',
);
const value = fc.oneof(
  fc.constantFrom(
    'other',
    'in/other',
    'in/other/',
    './other',
    'a//b',
    '1700000000.5',
    '7',
    '-7',
    '',
    'a=b',
    '12 path=x',
    'ü\u0301',
    'a\nb',
  ),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 5 }),
);
const record = fc
  .record({ key, value, off: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.integer({ min: -3, max: 3 })) })
  .map(({ key: name, value: text, off }) => {
    const right = paxRecord(name, Buffer.from(text));
    const [length = ''] = right.toString('latin1').split(' ', 1);
    return Buffer.concat([Buffer.from(String(Number(length) + off)), right.subarray(length.length)]);
  });
/** A file or a folder with an extended header of its own, between others. */
const extended = fc
  .record({ records: fc.array(record, { minLength: 1, maxLength: 3 }), type: fc.constantFrom('0', '0', '5', '\0') })
  .map(({ records, type }) =>
    zip(rawTar([{ name: 'first', body: '1' }, pax(...records), { name: 'named', type }, { name: 'last', body: '2' }])),
  );

/** A tar that is nearly sound, or is. */
export const mutant = fc.oneof({ weight: 2, arbitrary: changed }, extended);
