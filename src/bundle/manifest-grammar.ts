/** What each member of a manifest may hold. The patterns stand in docs/manifest.schema.json, too. */
import { valid, validRange } from 'semver';
import { closest } from '../base/closest.js';
import { isolationKeys, isolationModes, wrongIsolation } from '../base/isolation.js';
import { wrongPermission } from '../base/permission.js';
import { below, type Problem } from './strict-json.js';

/** What is wrong with `value`, which stands at `pointer`. */
export type Check = (value: unknown, pointer: string) => Problem[];

const idGrammar = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const versionGrammar =
  /^(?=.{1,31}$)(?:0|[1-9]\d{0,14})(?:\.(?:0|[1-9]\d{0,14})){2}(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;
const abiGrammar = /^(?:0|[1-9]\d{0,3})\.(?:0|[1-9]\d{0,3})$/;
const pathGrammar = /^(?=.{1,1024}$)(?!(?:[^/]*\/){16})(?:[^/\\:\p{Cc}]{0,254}[^/\\:\p{Cc}. ](?:\/(?!$)|$))+$/u;
const engineGrammar = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const hashGrammar = /^[0-9a-f]{64}$/;
/** One line of a sentence. */
const lineGrammar = /^\P{Cc}*$/u;

const linuxArchitectures = ['x64', 'arm64', 'arm', 'ia32', 'ppc64', 's390x', 'riscv64', 'loong64'];
/** Keys of `entrypoints`. */
const platformKeys: readonly string[] = [
  'main',
  ...linuxArchitectures.flatMap((arch) => ['', '-glibc', '-musl'].map((libc) => `linux-${arch}${libc}`)),
  'darwin-x64',
  'darwin-arm64',
];

/** Largest of a file that a manifest may name, bytes. */
const sizeLimit = 1024 ** 3;

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A word of a stranger, in a sentence. */
export function quoted(word: string): string {
  const short = word.length > 80 ? `${word.slice(0, 80)}…` : word;
  return JSON.stringify(short).replace(
    /(?! )[\p{C}\p{Z}]/gu,
    (sign) => `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

function meant(word: string, known: readonly string[]): string {
  const near = closest(word, known);
  return near === undefined ? '' : `; ${quoted(near)} is probably meant`;
}

const said = (pointer: string, message: string | undefined): Problem[] =>
  message === undefined ? [] : [{ pointer, message }];

const text =
  (wrong: (value: string) => string | undefined): Check =>
  (value, pointer) =>
    said(pointer, typeof value === 'string' ? wrong(value) : 'must be text');

const matching = (grammar: RegExp, sentence: string): Check =>
  text((value) => (grammar.test(value) ? undefined : sentence));

const characters = (value: string): number => Array.from(value).length;

const line = (most: number): Check =>
  text((value) =>
    lineGrammar.test(value) && characters(value) <= most ? undefined : `must be one line of at most ${most} characters`,
  );

const truth: Check = (value, pointer) =>
  said(pointer, typeof value === 'boolean' ? undefined : 'must be true or false');

/** Members with names of one kind, and values of another. */
const members =
  (wrongName: (name: string) => string | undefined, of: Check): Check =>
  (value, pointer) =>
    isObject(value)
      ? Object.entries(value).flatMap(([name, member]) => {
          const place = below(pointer, name);
          const wrong = wrongName(name);
          return wrong === undefined ? of(member, place) : said(place, wrong);
        })
      : said(pointer, 'must be an object');

/** Members with these names, all of which there have to be. */
const record =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value, pointer) =>
    isObject(value)
      ? [
          ...Object.keys(value)
            .filter((name) => !Object.hasOwn(checks, name))
            .map((name) => ({
              pointer: below(pointer, name),
              message: `is unknown here${meant(name, Object.keys(checks))}`,
            })),
          ...Object.entries(checks).flatMap(([name, check]) =>
            Object.hasOwn(value, name)
              ? check(value[name], below(pointer, name))
              : said(below(pointer, name), 'is missing'),
          ),
        ]
      : said(pointer, 'must be an object');

const wrongPath = (value: string): string | undefined =>
  pathGrammar.test(value)
    ? undefined
    : 'must be a path inside the bundle: at most 16 names with "/" between them, none of them empty or with "\\", ":", or "." or a blank at its end';

const wrongListedPath = (value: string): string | undefined =>
  ['manifest.json', 'manifest.sig'].includes(value.normalize('NFC').toLowerCase())
    ? 'is not among the files that a manifest lists'
    : wrongPath(value);

const range: Check = text((value) =>
  value !== '' && value.length <= 256 && validRange(value) !== null
    ? undefined
    : 'must be a range of semantic versions, such as "^1.2.0"',
);

const wrongPlatform = (key: string): string | undefined =>
  platformKeys.includes(key)
    ? undefined
    : `must be "main" or a platform, such as "linux-x64", "linux-arm64-musl" or "darwin-arm64"${meant(key, platformKeys)}`;

const size: Check = (value, pointer) =>
  said(
    pointer,
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= sizeLimit
      ? undefined
      : `must be a whole number of bytes from 0 to ${sizeLimit}`,
  );

const sha256 = matching(hashGrammar, 'must be 64 hexadecimal digits in lower case');

const permissions: Check = (value, pointer) => {
  if (!Array.isArray(value)) return said(pointer, 'must be a list of permissions');
  if (value.length > 256) return said(pointer, 'must not be more than 256');
  const items = value as unknown[];
  return items.flatMap((item, index) => {
    const place = below(pointer, index);
    if (typeof item === 'string' && items.indexOf(item) < index) return said(place, 'is there twice');
    return text(wrongPermission)(item, place);
  });
};

const configSchema: Check = (value, pointer) => {
  if (!isObject(value)) return said(pointer, 'must be a JSON Schema: an object');
  return Object.hasOwn(value, 'reloadOnChange') ? truth(value['reloadOnChange'], below(pointer, 'reloadOnChange')) : [];
};

const isolation: Check = (value, pointer) => {
  const known = Object.keys(isolationKeys);
  const wrong = wrongIsolation(value);
  if (isObject(value)) {
    const inside = Object.entries(value).flatMap(([name, member]) => {
      const check = Object.hasOwn(isolationKeys, name) ? isolationKeys[name as keyof typeof isolationKeys] : undefined;
      return said(below(pointer, name), check === undefined ? `is unknown here${meant(name, known)}` : check(member));
    });
    return [...said(pointer, wrong), ...inside];
  }
  const hint = typeof value === 'string' ? meant(value, isolationModes) : '';
  return said(pointer, wrong === undefined ? undefined : `${wrong}${hint}`);
};

/** Every member, in the order in which it is written. */
export const memberChecks: Readonly<Record<string, Check>> = {
  $schema: line(1024),
  id: matching(idGrammar, 'must be at most 63 of a-z, 0-9, "_" and "-", the first a letter or digit'),
  name: line(256),
  version: text((value) =>
    versionGrammar.test(value) && valid(value) !== null
      ? undefined
      : 'must be a semantic version of at most 31 characters, such as "1.2.0"',
  ),
  abi: matching(abiGrammar, 'must be the version of the contract it was built with, such as "1.0"'),
  description: text((value) => (characters(value) <= 4096 ? undefined : 'must be at most 4096 characters')),
  author: line(256),
  license: line(256),
  entrypoints: members(wrongPlatform, text(wrongPath)),
  files: members(wrongListedPath, record({ sha256, size })),
  permissions,
  configSchema,
  reloadOnChange: truth,
  isolation,
  dependencies: members((name) => (idGrammar.test(name) ? undefined : 'must be the id of a plugin'), range),
  engines: members(
    (name) => (engineGrammar.test(name) ? undefined : 'must be a name of at most 63 of a-z, 0-9 and "._-"'),
    range,
  ),
};

/** Members of a manifest that nothing here knows. */
export function unknownMembers(manifest: Readonly<Record<string, unknown>>): Problem[] {
  const known = Object.keys(memberChecks);
  return Object.keys(manifest)
    .filter((name) => !Object.hasOwn(memberChecks, name))
    .map((name) => ({ pointer: below('', name), message: `is no member of a manifest${meant(name, known)}` }));
}
