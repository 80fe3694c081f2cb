/** What config.yaml says under `dependencies`: the kinds there are, and what each may hold. */

/** A CMake package and the targets of it that the plugin links to. */
export interface CMakePackage {
  readonly package: string;
  readonly targets: readonly string[];
  readonly components: readonly string[];
}

/** What an application needs beside its own sources. */
export interface Dependencies {
  /** Modules of pkg-config, each with an optional condition: `libzstd >= 1.5`. */
  readonly pkgConfig: readonly string[];
  readonly cmake: readonly CMakePackage[];
  /** Installed npm packages that carry headers. */
  readonly npm: readonly string[];
  /** Folders below the application's, whose sources are compiled in. */
  readonly vendored: readonly string[];
}

const moduleGrammar = /^[A-Za-z0-9][\w.+-]*(?: *(?:>=|<=|=|>|<) *[\w.+:~-]+)?$/;
const packageGrammar = /^[A-Za-z][\w.+-]*$/;
const targetGrammar = /^[A-Za-z][\w.+-]*(?:::[\w.+-]+)*$/;
const npmGrammar = /^(?:@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*$/;

const kinds = ['pkg-config', 'cmake', 'npm', 'vendored'] as const;
type Kind = (typeof kinds)[number];

interface Collected {
  pkgConfig: string[];
  cmake: CMakePackage[];
  npm: string[];
  vendored: string[];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textsOf(value: unknown): string[] | undefined {
  const items = Array.isArray(value) ? (value as unknown[]) : [value];
  return items.every((item) => typeof item === 'string') ? items : undefined;
}

/** Takes one kind's value into `out`, or says what is wrong with it. */
function take(kind: Kind, value: unknown, out: Collected): string | undefined {
  if (kind === 'cmake') {
    for (const item of Array.isArray(value) ? (value as unknown[]) : [value]) {
      const wrong = 'has cmake entries of the form {package: NAME, targets: [NAME::NAME]}';
      if (!isMap(item)) return wrong;
      const unknown = Object.keys(item).find((key) => !['package', 'targets', 'components'].includes(key));
      if (unknown !== undefined) return `${wrong}; "${unknown}" is not known there`;
      const targets = textsOf(item['targets']);
      const components = textsOf(item['components'] ?? []);
      const name = item['package'];
      if (typeof name !== 'string' || targets === undefined || targets.length === 0 || components === undefined)
        return wrong;
      const odd =
        [name, ...components].find((text) => !packageGrammar.test(text)) ??
        targets.find((text) => !targetGrammar.test(text));
      if (odd !== undefined) return `names "${odd}", which cannot be a CMake package or target`;
      out.cmake.push({ package: name, targets, components });
    }
    return undefined;
  }
  const names = textsOf(value);
  if (names === undefined) return `must have a name or a list of names under ${kind}`;
  if (kind === 'vendored') {
    for (const name of names) {
      const folder = name.replace(/^\.\//, '').replace(/\/+$/, '');
      const inside = folder !== '' && folder !== '.' && !folder.startsWith('/') && !folder.split('/').includes('..');
      if (!inside) return `names the vendored folder "${name}", which is not below the application's folder`;
      out.vendored.push(folder);
    }
    return undefined;
  }
  const grammar = kind === 'npm' ? npmGrammar : moduleGrammar;
  const odd = names.find((name) => !grammar.test(name));
  if (odd !== undefined)
    return `names "${odd}", which cannot be ${kind === 'npm' ? 'an npm package' : 'a pkg-config module'}`;
  out[kind === 'npm' ? 'npm' : 'pkgConfig'].push(...names);
  return undefined;
}

function collect(value: unknown, out: Collected): string | undefined {
  const maps = Array.isArray(value) ? (value as unknown[]) : [value];
  for (const map of maps) {
    if (!isMap(map)) return `must be a mapping, or a list of them, with the keys ${kinds.join(', ')}`;
    for (const [key, names] of Object.entries(map)) {
      const kind = kinds.find((each) => each === key);
      if (kind === undefined) return `has the key "${key}"; there are ${kinds.join(', ')}`;
      const wrong = take(kind, names, out);
      if (wrong !== undefined) return wrong;
    }
  }
  return undefined;
}

/** Undefined when `value` is right, else what is wrong with it. */
export function checkDependencies(value: unknown): string | undefined {
  return collect(value, { pkgConfig: [], cmake: [], npm: [], vendored: [] });
}

/** `value` must have passed {@link checkDependencies}. */
export function readDependencies(value: unknown): Dependencies {
  const out: Collected = { pkgConfig: [], cmake: [], npm: [], vendored: [] };
  if (value !== undefined) collect(value, out);
  const once = (names: string[]): string[] => [...new Set(names)];
  return { pkgConfig: once(out.pkgConfig), cmake: out.cmake, npm: once(out.npm), vendored: once(out.vendored) };
}
