/** Archives that are to be refused, each with the rule that it breaks. */
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import type { ErrorCode } from '../../src/base/errors.js';
import type { ArchiveLimits } from '../../src/bundle/archive.js';
import { pax, paxNamed, paxRecord, type RawEntry, rawHeader, rawTar, sumOf, twoZeroBlocks, zip } from './raw-tar.js';

export interface Hostile {
  readonly name: string;
  readonly code: ErrorCode;
  readonly rule: string;
  readonly archive: Buffer;
  readonly limits?: ArchiveLimits;
}

type Rows = readonly (readonly [name: string, rule: string, archive: Buffer | readonly RawEntry[]])[];

const all = (code: ErrorCode, rows: Rows): Hostile[] =>
  rows.map(([name, rule, archive]) => ({
    name,
    code,
    rule,
    archive: Buffer.isBuffer(archive) ? archive : zip(rawTar(archive)),
  }));

const utf8 = (text: string): Buffer => Buffer.from(text);
const fileNamed = (name: string | Buffer): RawEntry[] => [
  { name: typeof name === 'string' ? utf8(name) : name, body: 'x' },
];
const folderNamed = (name: string): RawEntry[] => [{ name: utf8(name), type: '5' }];

const paths = all('ArchivePath', [
  ['a path that leads out', 'segment', fileNamed('../x')],
  ['a path that leads out further on', 'segment', fileNamed('a/../../b')],
  ['a path that leads out and in again', 'segment', fileNamed('a/../b')],
  ['the folder above', 'segment', fileNamed('..')],
  ['the folder itself', 'segment', fileNamed('.')],
  ['a path with a dot before it', 'segment', fileNamed('./a')],
  ['a path with a dot in it', 'segment', fileNamed('a/./b')],
  ['a path with a dot at its end', 'segment', fileNamed('a/.')],
  ['a path with two slashes', 'segment', fileNamed('a//b')],
  ['a file with a slash at its end', 'segment', fileNamed('a/')],
  ['an absolute path', 'absolute', fileNamed('/etc/passwd')],
  ['a path with two slashes before it', 'absolute', fileNamed('//server/share')],
  ['a drive with a backslash', 'character', fileNamed('C:\\x')],
  ['a drive with a slash', 'character', fileNamed('C:/x')],
  ['a drive and a name', 'character', fileNamed('C:x')],
  ['a stream of a file', 'character', fileNamed('a:b')],
  ['a backslash', 'character', fileNamed('a\\b')],
  ['a path that leads out with backslashes', 'character', fileNamed('..\\..\\x')],
  ['a server with backslashes', 'character', fileNamed('\\\\server\\share')],
  ['a NUL in the name', 'character', fileNamed('a\0b')],
  ['a NUL in the first part', 'character', [{ prefix: 'a\0b', name: 'c' }]],
  ['a NUL in an extended path', 'character', paxNamed('a\0b')],
  ['a control character', 'character', fileNamed('a\x01b')],
  ['a line feed', 'character', fileNamed('a\nb')],
  ['a carriage return', 'character', fileNamed('a\rb')],
  ['a tab', 'character', fileNamed('a\tb')],
  ['an escape', 'character', fileNamed('a\x1b[2Jb')],
  ['a delete', 'character', fileNamed('a\x7fb')],
  ['a control character of Latin-1', 'character', fileNamed('a\u0085b')],
  ['a star', 'character', fileNamed('a*')],
  ['a question mark', 'character', fileNamed('a?')],
  ['an angle bracket', 'character', fileNamed('a<b')],
  ['a pipe', 'character', fileNamed('a|b')],
  ['a quotation mark', 'character', fileNamed('a"b')],
  ['text from right to left', 'character', fileNamed('a\u202Eos.b')],
  ['a joiner that is not seen', 'character', fileNamed('.g\u200Cit/config')],
  ['a space of no width', 'character', fileNamed('a\u200Bb')],
  ['a space that does not break', 'character', fileNamed('a\u00A0b')],
  ['a mark of byte order', 'character', fileNamed('\uFEFFa')],
  ['a line separator', 'character', fileNamed('a\u2028b')],
  ['a wide slash', 'character', fileNamed('a\uFF0Fb')],
  ['a slash that divides', 'character', fileNamed('a\u2215b')],
  ['a private character', 'character', fileNamed('a\uE000b')],
  ['bytes that are not UTF-8', 'character', fileNamed(Buffer.from([0x61, 0xff, 0x62]))],
  ['a slash of too many bytes', 'character', fileNamed(Buffer.from([0x61, 0xc0, 0xaf, 0x62]))],
  ['dots of too many bytes', 'character', fileNamed(Buffer.from([0xc0, 0xae, 0xc0, 0xae, 0x2f, 0x78]))],
  ['half of a pair', 'character', fileNamed(Buffer.from([0x61, 0xed, 0xa0, 0x80]))],
  ['half a character at its end', 'character', fileNamed(Buffer.from([0x61, 0xc3]))],
  ['a dot at the end', 'ending', fileNamed('a.')],
  ['a space at the end', 'ending', fileNamed('a ')],
  ['a space at the beginning', 'ending', fileNamed(' a')],
  ['an option', 'ending', fileNamed('-rf')],
  ['an option in a folder', 'ending', fileNamed('a/--checkpoint-action=exec')],
  ['a dot at the end of a folder', 'ending', fileNamed('a./b')],
  ['three dots', 'ending', fileNamed('...')],
  ['a space at the end of a folder', 'ending', fileNamed('a /b')],
  ['a console', 'reserved', fileNamed('con')],
  ['a device with an ending', 'reserved', fileNamed('NUL.txt')],
  ['a device with a space and an ending', 'reserved', fileNamed('nul .txt')],
  ['a device of C', 'reserved', fileNamed('aux.c')],
  ['a device as a folder', 'reserved', fileNamed('prn/x')],
  ['a port', 'reserved', fileNamed('Com1')],
  ['a printer', 'reserved', fileNamed('lpt9.h')],
  ['a port with a small number', 'reserved', fileNamed('COM¹')],
  ['an input', 'reserved', fileNamed('conin$')],
  ['a name of 256 bytes', 'long', paxNamed('x'.repeat(256))],
  ['a name of 256 bytes in fewer characters', 'long', paxNamed('ü'.repeat(128))],
  ['a path of 1,025 bytes', 'long', paxNamed(`${`${'x'.repeat(204)}/`.repeat(5)}y`)],
  ['17 names', 'deep', fileNamed(`${'a/'.repeat(16)}b`)],
  ['a letter and an accent', 'form', fileNamed('e\u0301')],
  ['a letter with an accent, and the same apart', 'form', [...fileNamed('\u00e9'), ...fileNamed('e\u0301')]],
  ['the same apart, and a letter with an accent', 'form', [...fileNamed('e\u0301'), ...fileNamed('\u00e9')]],
  ['a letter and an accent in a folder', 'form', folderNamed('a/u\u0308/b')],
  ['a sign of degrees for a letter', 'form', fileNamed('\u212a')],
  ['a sign of \u00e5ngstr\u00f6ms for a letter', 'form', fileNamed('\u212b')],
  ['no path', 'empty', fileNamed('')],
  ['a first part without a name', 'segment', [{ prefix: 'a', name: '', body: 'x' }]],
  ['a first part that leads out', 'segment', [{ prefix: '..', name: 'x' }]],
  ['a first part that is absolute', 'absolute', [{ prefix: '/etc', name: 'x' }]],
  ['a first part with a slash at its end', 'segment', [{ prefix: 'a/', name: 'x' }]],
  ['a first part before an absolute path', 'segment', [{ prefix: 'a', name: '/x' }]],
  ['an extended path that leads out', 'segment', paxNamed('../x', { name: 'good' })],
  ['an extended path that is absolute', 'absolute', paxNamed('/x', { name: 'good' })],
  ['the folder above, as a folder', 'segment', folderNamed('../')],
  ['the folder itself, as a folder', 'segment', folderNamed('./')],
  ['the root, as a folder', 'absolute', folderNamed('/')],
  ['a folder with two slashes at its end', 'segment', folderNamed('a//')],
  ['a folder without a path', 'empty', folderNamed('')],
]);

const types = all('ArchiveType', [
  ['a symbolic link', 'type', [{ name: 'a', type: '2', link: '/etc/passwd' }]],
  ['a hard link', 'type', [{ name: 'a', type: '1', link: '/etc/passwd' }]],
  ['a hard link with a body', 'type', [{ name: 'a', type: '1', link: 'b', body: 'x' }]],
  [
    'a link and a file through it',
    'type',
    [
      { name: 'a', type: '2', link: '/tmp' },
      { name: 'a/x', body: 'x' },
    ],
  ],
  [
    'a folder that becomes a link',
    'type',
    [
      { name: 'a', type: '5' },
      { name: 'a', type: '2', link: '/tmp' },
    ],
  ],
  ['a character device', 'type', [{ name: 'a', type: '3', major: '0000001\0', minor: '0000003\0' }]],
  ['a block device', 'type', [{ name: 'a', type: '4' }]],
  ['a FIFO', 'type', [{ name: 'a', type: '6' }]],
  ['a contiguous file', 'type', [{ name: 'a', type: '7', body: 'x' }]],
  ['a long name of GNU tar', 'type', [{ name: '././@LongLink', type: 'L', body: 'x\0' }, { name: 'a' }]],
  ['a long link of GNU tar', 'type', [{ name: '././@LongLink', type: 'K', body: 'x\0' }, { name: 'a' }]],
  ['a sparse file of GNU tar', 'type', [{ name: 'a', type: 'S', magic: 'ustar  \0' }]],
  ['a part of several volumes', 'type', [{ name: 'a', type: 'M' }]],
  ['a folder of a dump', 'type', [{ name: 'a', type: 'D' }]],
  ['a label', 'type', [{ name: 'a', type: 'V' }]],
  ['an extended header for all', 'type', [{ name: 'a', type: 'g', body: paxRecord('path', 'b') }, { name: 'a' }]],
  ['an extended header of Solaris', 'type', [{ name: 'a', type: 'X', body: paxRecord('path', 'b') }, { name: 'a' }]],
  ['a list of rights', 'type', [{ name: 'a', type: 'A', body: 'x' }]],
  ['a file with a target', 'link', [{ name: 'a', link: '/etc/passwd' }]],
  ['a file with a target behind a NUL', 'link', [{ name: 'a', link: '\0/etc/passwd' }]],
  ['a folder with a target', 'link', [{ name: 'a', type: '5', link: '/etc' }]],
]);

const pair = (one: string, other: string): RawEntry[] => [...fileNamed(one), ...fileNamed(other)];
const duplicates = all('ArchiveDuplicate', [
  ['a file twice', 'twice', pair('a', 'a')],
  ['a manifest twice', 'twice', pair('manifest.json', 'manifest.json')],
  ['a path twice, one of them extended', 'twice', [...fileNamed('a/b'), ...paxNamed('a/b')]],
  ['a path twice, one of them in two parts', 'twice', [...fileNamed('a/b'), { prefix: 'a', name: 'b' }]],
  ['a folder twice', 'twice', [...folderNamed('a/'), ...folderNamed('a')]],
  ['two spellings of a manifest', 'spelling', pair('manifest.json', 'Manifest.JSON')],
  ['upper and lower case', 'spelling', pair('A', 'a')],
  ['upper and lower case of a folder', 'spelling', pair('A/x', 'a/y')],
  ['upper and lower case of a folder and a file', 'spelling', [...folderNamed('A/'), ...fileNamed('a')]],
  ['two cases of one letter with an accent', 'spelling', pair('\u00c9', '\u00e9')],
  ['a sharp s and two', 'spelling', pair('stra\u00dfe', 'STRASSE')],
  ['a long s', 'spelling', pair('\u017f', 's')],
  ['two small sigmas', 'spelling', pair('\u03c3', '\u03c2')],
  ['an I with a dot', 'spelling', pair('\u0130', 'i\u0307')],
  ['a ligature', 'spelling', pair('\ufb01', 'fi')],
  ['a file that is a folder of another one', 'inside', pair('a', 'a/b')],
  ['a folder of another file that is a file', 'inside', pair('a/b', 'a')],
  ['a file and a folder', 'inside', [...fileNamed('a'), ...folderNamed('a/')]],
  ['a folder and a file', 'inside', [...folderNamed('a/'), ...fileNamed('a')]],
]);

const one: RawEntry = { name: 'a', body: 'x' };
const good = rawTar([one]);
const signedSum = (): string => {
  const header = rawHeader({ name: Buffer.from('\u00e9') });
  const high = header.filter((byte) => byte > 127).length;
  return `${(sumOf(header) - high * 256).toString(8).padStart(6, '0')}\0 `;
};
const headers = all('ArchiveInvalid', [
  ['a wrong checksum', 'checksum', [{ ...one, checksum: '000000\0 ' }]],
  ['no checksum', 'checksum', [{ ...one, checksum: '' }]],
  ['a checksum of bytes with signs', 'checksum', [{ name: Buffer.from('\u00e9'), checksum: signedSum() }]],
  ['a negative size', 'size', [{ ...one, size: '-0000000001\0' }]],
  ['a size with a plus', 'size', [{ ...one, size: '+0000000001\0' }]],
  ['a size to the base of 256', 'size', [{ ...one, size: Buffer.from('800000000000000000000001', 'hex') }]],
  ['a negative size to the base of 256', 'size', [{ ...one, size: Buffer.alloc(12, 0xff) }]],
  ['a size without an end', 'size', [{ ...one, size: '000000000001' }]],
  ['a size with a space before it', 'size', [{ ...one, size: ' 0000000001\0' }]],
  ['a size that is not octal', 'size', [{ ...one, size: '00000000009\0' }]],
  ['a size that is hexadecimal', 'size', [{ ...one, size: '0x000000001\0' }]],
  ['a size with something behind its end', 'size', [{ ...one, size: '0000001\x002222' }]],
  ['no size', 'size', [{ ...one, size: '\0' }]],
  ['a size over what is there', 'end', [{ ...one, size: '00000100000\0' }]],
  ['a folder with a size', 'size', [{ name: 'a', type: '5', body: 'x' }]],
  ['a mode that is not octal', 'number', [{ ...one, mode: 'rw-r--r-' }]],
  ['a negative owner', 'number', [{ ...one, uid: Buffer.alloc(8, 0xff) }]],
  ['a negative group', 'number', [{ ...one, gid: '-000001\0' }]],
  ['a time to the base of 256', 'number', [{ ...one, mtime: Buffer.from('ff0000000000000000000001', 'hex') }]],
  ['a device number that is not octal', 'number', [{ ...one, major: 'abcdefg\0' }]],
  ['no magic', 'magic', [{ ...one, magic: '' }]],
  ['another magic', 'magic', [{ ...one, magic: 'ustax\x0000' }]],
  ['another version', 'magic', [{ ...one, magic: 'ustar\x0001' }]],
  ['the magic of GNU tar with a first part', 'magic', [{ ...one, magic: 'ustar  \0', prefix: 'b' }]],
  [
    'the magic of GNU tar for an extended header',
    'magic',
    [{ ...pax(paxRecord('path', 'b')), magic: 'ustar  \0' }, one],
  ],
  ['something behind the header', 'padding', [{ ...one, rest: 'tar\0' }]],
  ['something behind the bytes', 'padding', [{ ...one, fill: 1 }]],
]);

const ends = all('ArchiveInvalid', [
  ['no end', 'end', zip(rawTar([one], Buffer.alloc(0)))],
  ['half an end', 'end', zip(rawTar([one], Buffer.alloc(512)))],
  ['an end that is cut off', 'end', zip(rawTar([one], Buffer.alloc(1023)))],
  ['a header that is cut off', 'end', zip(good.subarray(0, 300))],
  ['bytes that are cut off', 'end', zip(good.subarray(0, 800))],
  ['an end that is no whole block', 'end', zip(rawTar([one], Buffer.alloc(1025)))],
  ['a file behind the end', 'end', zip(Buffer.concat([good, good]))],
  ['a file behind half an end', 'end', zip(Buffer.concat([rawTar([one], Buffer.alloc(512)), good]))],
  ['one byte behind the end', 'end', zip(Buffer.concat([good, Buffer.alloc(511), Buffer.from([1])]))],
  ['nothing', 'end', zip(Buffer.alloc(0))],
]);

const extended = all('ArchiveInvalid', [
  ['a size in an extended header', 'pax', [pax(paxRecord('size', '5')), one]],
  ['a target in an extended header', 'pax', [pax(paxRecord('linkpath', '/etc')), one]],
  ['another character set', 'pax', [pax(paxRecord('hdrcharset', 'BINARY')), one]],
  ['a sparse file in an extended header', 'pax', [pax(paxRecord('GNU.sparse.major', '1')), one]],
  ['another name of a sparse file', 'pax', [pax(paxRecord('GNU.sparse.name', '/etc/x')), one]],
  ['attributes', 'pax', [pax(paxRecord('SCHILY.xattr.security.capability', 'x')), one]],
  ['a key of an object', 'pax', [pax(paxRecord('constructor', 'x')), one]],
  ['a path twice in an extended header', 'pax', [pax(paxRecord('path', 'a'), paxRecord('path', 'b')), one]],
  ['a path that is deleted', 'pax', [pax(paxRecord('path', '')), one]],
  ['an extended path that is not UTF-8', 'pax', paxNamed(Buffer.from([0xff]))],
  ['a record that is too short', 'pax', [pax('9 path=abc\n'), one]],
  ['a record that is too long', 'pax', [pax('99 path=abc\n'), one]],
  ['a record of no length', 'pax', [pax('0 path=abc\n'), one]],
  ['a record of a huge length', 'pax', [pax('99999999999999999999 path=abc\n'), one]],
  ['a record with zeros before its length', 'pax', [pax('012 path=abc\n'), one]],
  ['a record with a negative length', 'pax', [pax('-12 path=abc\n'), one]],
  ['a record without an end', 'pax', [pax('12 path=abcd'), one]],
  ['a record without a value', 'pax', [pax('7 path\n'), one]],
  ['a record without a key', 'pax', [pax('6 =ab\n'), one]],
  ['something behind a record', 'pax', [pax(paxRecord('path', 'b'), 'x'), one]],
  ['an extended header with a NUL at its end', 'pax', [pax(paxRecord('path', 'b'), '\0'), one]],
  ['a time that is none', 'pax', [pax(paxRecord('mtime', '1e9')), one]],
  ['an owner that is none', 'pax', [pax(paxRecord('uid', '-1')), one]],
  ['an empty extended header', 'pax', [pax(), one]],
  ['a huge extended header', 'pax', [pax(paxRecord('comment', 'x'.repeat(20_000))), one]],
  ['two extended headers', 'pax', [pax(paxRecord('path', 'b')), pax(paxRecord('path', 'c')), one]],
  ['an extended header for nothing', 'pax', [one, pax(paxRecord('path', 'b'))]],
]);

/** A gzip header with these flags, and what follows it. */
function member(flags: number, extra: Buffer, method = 8): Buffer {
  const whole = zip(good);
  return Buffer.concat([Buffer.from([0x1f, 0x8b, method, flags, 0, 0, 0, 0, 0, 3]), extra, whole.subarray(10)]);
}
const damagedAt = (at: number): Buffer => {
  const whole = zip(good);
  const place = at < 0 ? whole.length + at : at;
  whole[place] = (whole[place] ?? 0) ^ 1;
  return whole;
};
const deflated = (body: Buffer): Buffer => Buffer.concat([zip(good).subarray(0, 10), body, Buffer.alloc(8)]);
const members = all('ArchiveInvalid', [
  ['no bytes', 'truncated', Buffer.alloc(0)],
  ['a tar without gzip', 'gzip', good],
  ['zlib', 'gzip', deflateSync(good)],
  ['deflate alone', 'gzip', deflateRawSync(good)],
  ['a zip archive', 'gzip', Buffer.from(`504b0304${'00'.repeat(40)}`, 'hex')],
  ['zstd', 'gzip', Buffer.from(`28b52ffd${'00'.repeat(40)}`, 'hex')],
  ['another method', 'gzip', member(0, Buffer.alloc(0), 9)],
  ['an extra field', 'gzip', member(4, Buffer.from([1, 0, 0]))],
  ['a comment', 'gzip', member(16, Buffer.from('x\0'))],
  ['a checksum of the header', 'gzip', member(2, Buffer.alloc(2))],
  ['a flag of text', 'gzip', member(1, Buffer.alloc(0))],
  ['a flag that means nothing', 'gzip', member(0x80, Buffer.alloc(0))],
  ['a name without end', 'gzip', member(8, Buffer.alloc(2000, 'x'))],
  ['half a header', 'truncated', zip(good).subarray(0, 7)],
  ['a header alone', 'truncated', zip(good).subarray(0, 10)],
  ['half of the bytes', 'truncated', zip(good).subarray(0, 40)],
  ['no trailer', 'truncated', zip(good).subarray(0, -8)],
  ['half a trailer', 'truncated', zip(good).subarray(0, -3)],
  ['a wrong checksum of all', 'gzip', damagedAt(-8)],
  ['a wrong length of all', 'gzip', damagedAt(-4)],
  ['a byte behind it', 'trailing', Buffer.concat([zip(good), Buffer.from('x')])],
  ['zeros behind it', 'trailing', Buffer.concat([zip(good), Buffer.alloc(512)])],
  ['a second member', 'trailing', Buffer.concat([zip(good), zip(good)])],
  ['an empty second member', 'trailing', Buffer.concat([zip(good), zip(Buffer.alloc(0))])],
  ['an archive in two members', 'trailing', Buffer.concat([zip(good.subarray(0, 512)), zip(good.subarray(512))])],
  ['gzip within gzip', 'end', zip(zip(good))],
  ['a block of no kind', 'deflate', deflated(Buffer.from([0x07]))],
  ['a block with a wrong length', 'deflate', deflated(Buffer.from([1, 1, 0, 0, 0, 0]))],
  ['a reference before the beginning', 'deflate', deflated(deflateRawSync(good, { dictionary: good }))],
]);

const tooLarge = (name: string, rule: string, archive: Buffer, limits?: ArchiveLimits): Hostile => ({
  name,
  code: 'ArchiveTooLarge',
  rule,
  archive,
  ...(limits === undefined ? {} : { limits }),
});
const many = (count: number): RawEntry[] => Array.from({ length: count }, (_, at) => ({ name: `f${at}` }));
const large: Hostile[] = [
  tooLarge('1,001 files', 'entries', zip(rawTar(many(1001)))),
  tooLarge('four folders of three', 'entries', zip(rawTar(many(4).map((entry) => ({ ...entry, type: '5' })))), {
    entries: 3,
  }),
  tooLarge('a file that says it is over the limit', 'bytes', zip(rawTar([{ ...one, size: '00400000001\0' }]))),
  tooLarge('a file that says it has 8 GiB', 'bytes', zip(rawTar([{ ...one, size: '77777777777\0' }]))),
  tooLarge(
    'two files over the limit together',
    'bytes',
    zip(
      rawTar([
        { name: 'a', body: Buffer.alloc(700) },
        { name: 'b', body: Buffer.alloc(700) },
      ]),
    ),
    { bytes: 1024 },
  ),
  tooLarge('an archive over the limit', 'bytes', Buffer.concat([zip(good), Buffer.alloc(1024)]), { bytes: 1024 }),
  tooLarge('10 MiB of nothing', 'ratio', zip(rawTar([{ name: 'a', body: Buffer.alloc(10 * 1024 ** 2) }]))),
  tooLarge('2 MiB behind the end', 'fill', zip(Buffer.concat([good, Buffer.alloc(2 * 1024 ** 2)]))),
  tooLarge(
    'a bomb in a bomb',
    'ratio',
    zip(
      rawTar([
        { name: 'a', body: gzipSync(Buffer.alloc(10)) },
        { name: 'b', body: Buffer.alloc(8 * 1024 ** 2) },
      ]),
    ),
  ),
  tooLarge('anything at all in no time', 'time', zip(twoZeroBlocks), { timeMs: 0 }),
];

export const hostileArchives: readonly Hostile[] = [
  ...paths,
  ...types,
  ...duplicates,
  ...headers,
  ...ends,
  ...extended,
  ...members,
  ...large,
];
