/** manifest.json: what a bundle says of itself. */
import { TenonError } from '../base/errors.js';
import type { IsolationMode, IsolationWish } from '../base/isolation.js';
import { isObject, memberChecks, quoted, unknownMembers } from './manifest-grammar.js';
import { below, JsonRefused, type Problem, strictJson } from './strict-json.js';

/** Name of the file, at the root of a bundle. */
export const manifestFile = 'manifest.json';
/** Name of the file with its signature, beside it. */
export const signatureFile = 'manifest.sig';
/** Largest manifest, bytes. */
export const manifestLimit = 256 * 1024;

export interface ManifestFile {
  /** SHA-256 of its bytes, hexadecimal. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** What a manifest says, checked, defaults filled in. */
export interface Manifest {
  readonly id: string;
  /** For people; the id when absent. */
  readonly name: string;
  /** Semantic version of at most 31 characters. */
  readonly version: string;
  /** `MAJOR.MINOR` of the contract it was built with; undefined when it does not say. */
  readonly abi: string | undefined;
  readonly description: string;
  readonly author: string;
  readonly license: string;
  /** Path of the library by platform (`linux-x64`, `linux-x64-musl`, `darwin-arm64` …), or by `main`: for any. */
  readonly entrypoints: Readonly<Record<string, string>>;
  /** Every file but the manifest and its signature, by path; undefined in a folder that lists none. */
  readonly files: Readonly<Record<string, ManifestFile>> | undefined;
  /** What it asks for; see `base/permission`. */
  readonly permissions: readonly string[];
  /** JSON Schema 2020-12 of its config. */
  readonly configSchema: Readonly<Record<string, unknown>> | undefined;
  readonly reloadOnChange: boolean;
  /** Where its code is to run, as it is written. */
  readonly isolation: IsolationMode | Readonly<Partial<IsolationWish>> | undefined;
  /** Plugins it needs: id to range of versions. */
  readonly dependencies: Readonly<Record<string, string>>;
  /** Ranges of versions of what runs it; `tenon` is known. */
  readonly engines: Readonly<Record<string, string>>;
}

/** Levels of objects and lists. */
const depthLimit = 32;
/** Problems that are told of one manifest. */
const problemLimit = 100;

/**
 * Read a manifest. `id` and `version` are those of one that names none. Throws `InvalidManifest` with `details: {pointer, problems:
 * [{pointer, message}]}`; `where` names the file or archive for people.
 */
export function parseManifest(bytes: Uint8Array, where: string, id?: string, version?: string): Manifest {
  const given = { ...whenSaid('id', id), ...whenSaid('version', version), ...jsonOf(bytes, where) };
  const problems = problemsOf(given);
  if (problems.length > 0) throw refused(where, problems);
  return manifestOf(given as unknown as Written);
}

/** A manifest whose members were checked, as it was written. */
interface Written extends Partial<Omit<Manifest, 'id' | 'version'>> {
  readonly id: string;
  readonly version: string;
}

function jsonOf(bytes: Uint8Array, where: string): Readonly<Record<string, unknown>> {
  if (bytes.byteLength > manifestLimit)
    throw refused(where, [{ pointer: '', message: `is larger than ${manifestLimit} bytes` }]);
  try {
    const value = strictJson(bytes, depthLimit);
    if (isObject(value)) return value;
  } catch (error) {
    if (error instanceof JsonRefused) throw refused(where, [error]);
    throw error;
  }
  throw refused(where, [{ pointer: '', message: 'must be a JSON object' }]);
}

function refused(where: string, problems: readonly Problem[]): TenonError {
  const told = problems.slice(0, problemLimit).map(({ pointer, message }) => ({ pointer, message }));
  const [{ pointer, message } = { pointer: '', message: '' }] = told;
  const place = pointer === '' ? '' : `${/^[ -~]{1,200}$/.test(pointer) ? pointer : quoted(pointer)} `;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  return new TenonError('InvalidManifest', `${where}: ${place}${message}${more}`, {
    next: 'correct the manifest; docs/manifest.md says what each member may hold',
    details: { pointer, problems: told },
  });
}

function problemsOf(value: Readonly<Record<string, unknown>>): Problem[] {
  const missing = ['id', 'version'].filter((name) => !Object.hasOwn(value, name));
  const wrong = [
    ...missing.map((name) => ({ pointer: below('', name), message: 'is missing' })),
    ...unknownMembers(value),
    ...Object.entries(memberChecks).flatMap(([name, check]) =>
      Object.hasOwn(value, name) ? check(value[name], below('', name)) : [],
    ),
  ];
  return wrong.length > 0 ? wrong : contradictions(value as unknown as Written);
}

/** What is wrong between members that are right, each for itself. */
function contradictions(written: Written): Problem[] {
  const { id, entrypoints = {}, files, configSchema, reloadOnChange, dependencies = {} } = written;
  const problems: Problem[] = [];
  if (reloadOnChange !== undefined && configSchema !== undefined && Object.hasOwn(configSchema, 'reloadOnChange'))
    problems.push({ pointer: '/configSchema/reloadOnChange', message: 'is said by /reloadOnChange already' });
  if (Object.hasOwn(dependencies, id))
    problems.push({ pointer: below('/dependencies', id), message: 'is the plugin itself' });
  if (files === undefined) return problems;
  for (const [key, file] of Object.entries(entrypoints))
    if (!Object.hasOwn(files, file))
      problems.push({
        pointer: below('/entrypoints', key),
        message: `names ${quoted(file)}, which is not among /files`,
      });
  return [...problems, ...sameFiles(Object.keys(files))];
}

/** Paths that are one file where letters have no case, or accents one form; and files that other files lie in. */
function sameFiles(paths: readonly string[]): Problem[] {
  const folded = new Map<string, string>();
  const problems: Problem[] = [];
  for (const file of paths) {
    const key = file.normalize('NFC').toLowerCase();
    const other = folded.get(key);
    if (other !== undefined)
      problems.push({ pointer: below('/files', file), message: `would be the same file as ${quoted(other)}` });
    folded.set(key, file);
  }
  for (const [key, file] of folded)
    for (let end = key.lastIndexOf('/'); end > 0; end = key.lastIndexOf('/', end - 1)) {
      const folder = folded.get(key.slice(0, end));
      if (folder === undefined) continue;
      problems.push({ pointer: below('/files', file), message: `lies in ${quoted(folder)}, which is a file` });
      break;
    }
  return problems;
}

/** Without the prototype of objects: what is not in it is not there, whatever it is called. */
function table<T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.assign(Object.create(null) as Record<string, T>, entries);
}

function manifestOf(written: Written): Manifest {
  const { reloadOnChange, ...configSchema } = written.configSchema ?? {};
  return {
    id: written.id,
    name: written.name ?? written.id,
    version: written.version,
    abi: written.abi,
    description: written.description ?? '',
    author: written.author ?? '',
    license: written.license ?? '',
    entrypoints: table(written.entrypoints ?? {}),
    files: written.files === undefined ? undefined : table(written.files),
    permissions: written.permissions ?? [],
    configSchema: written.configSchema === undefined ? undefined : configSchema,
    reloadOnChange: written.reloadOnChange ?? reloadOnChange === true,
    isolation: written.isolation,
    dependencies: table(written.dependencies ?? {}),
    engines: table(written.engines ?? {}),
  };
}

/** The text of a manifest, for its file: keys in one order, files sorted by path, so that the same manifest is the same bytes. */
export function manifestText(manifest: Manifest): string {
  const { id, name, files, permissions } = manifest;
  const written: Written = {
    id,
    ...(name === id ? {} : { name }),
    version: manifest.version,
    ...whenSaid('abi', manifest.abi),
    ...whenSaid('description', manifest.description),
    ...whenSaid('author', manifest.author),
    ...whenSaid('license', manifest.license),
    ...whenAny('entrypoints', manifest.entrypoints),
    ...(files === undefined ? {} : { files: sorted(files, ({ sha256, size }) => ({ sha256, size })) }),
    ...(permissions.length === 0 ? {} : { permissions }),
    ...whenSaid('configSchema', manifest.configSchema),
    ...(manifest.reloadOnChange ? { reloadOnChange: true } : {}),
    ...whenSaid('isolation', manifest.isolation),
    ...whenAny('dependencies', manifest.dependencies),
    ...whenAny('engines', manifest.engines),
  };
  return `${JSON.stringify(written, undefined, 2)}\n`;
}

function whenSaid<Name extends string, T>(name: Name, value: T): Partial<Record<Name, T>> {
  return value === undefined || value === '' ? {} : ({ [name]: value } as Partial<Record<Name, T>>);
}

function whenAny<Name extends string>(
  name: Name,
  value: Readonly<Record<string, string>>,
): Partial<Record<Name, Readonly<Record<string, string>>>> {
  return Object.keys(value).length === 0
    ? {}
    : whenSaid(
        name,
        sorted(value, (text) => text),
      );
}

function sorted<T>(entries: Readonly<Record<string, T>>, of: (value: T) => T): Readonly<Record<string, T>> {
  const inOrder = Object.entries(entries).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(inOrder.map(([name, value]) => [name, of(value)]));
}
