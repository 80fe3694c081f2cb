/** The config that a plugin is to have: what is set in the registry, else what its application says; defaults; secrets. */
import { isDeepStrictEqual } from 'node:util';
import { TenonError } from '../base/errors.js';
import type { ConfigSchema } from '../compiler/config-schema.js';
import { configFlaw, type ConfigObject } from '../compiler/config-value.js';
import { below, type Flaw, isObject, mayBeKnown } from '../compiler/schema-shape.js';
import { resolveSecrets, type SecretPlaces } from './secrets.js';

/** Who has said what a config is. */
export type ConfigSource = 'registry' | 'config.yaml' | 'defaults';

export interface EffectiveConfig {
  readonly source: ConfigSource;
  /** With the defaults of its schema, references as they are written: a JSON object, as text. */
  readonly written: string;
  /** As `written`, if the registry said nothing. */
  readonly own: string;
  /** What the plugin is given, secrets in clear: a JSON object, as text. For the plugin alone; never shown, logged or kept. */
  readonly given: string;
}

/** What a config is made of. */
export interface ConfigParts extends SecretPlaces {
  readonly plugin: string;
  /** What its application says: a JSON object, as text; `{}` when it says nothing. */
  readonly custom: string;
  readonly schema: ConfigSchema | undefined;
  /** What the registry says. */
  readonly desired: { readonly config: ConfigObject | null } | undefined;
}

/** What is written down in `parts`, without defaults, and by whom. */
export function writtenConfig({ custom, desired }: Pick<ConfigParts, 'custom' | 'desired'>): {
  source: ConfigSource;
  config: ConfigObject;
} {
  if (desired !== undefined && desired.config !== null) return { source: 'registry', config: desired.config };
  return { source: custom === '{}' ? 'defaults' : 'config.yaml', config: JSON.parse(custom) as ConfigObject };
}

/**
 * Rejects with `ConfigInvalid`, whose details have `errors: [{pointer, message}]`, and with `SecretMissing`.
 * @param lenient the schema is that of another build, and may know less of it: it gives the defaults, and refuses nothing
 */
export async function effectiveConfig(parts: ConfigParts, lenient = false): Promise<EffectiveConfig> {
  const { plugin, schema } = parts;
  const { source, config } = writtenConfig(parts);
  const refuse = (flaws: readonly Flaw[]): void => {
    if (flaws.length > 0) throw refused(plugin, source, flaws);
  };
  if (source === 'registry') {
    const flaw = configFlaw(config);
    refuse(flaw === undefined ? [] : [flaw]);
    refuse(clearSecrets(schema, config));
  }
  const whole = schema?.withDefaults(config) ?? { config };
  if ('flaw' in whole) throw refused(plugin, source, [whole.flaw]);
  const { config: written } = whole;
  const given = (await resolveSecrets(plugin, written, parts)) as ConfigObject;
  if (!lenient) refuse(schema?.flaws(given) ?? []);
  const own = source === 'registry' ? withDefaults(schema, parts.custom) : JSON.stringify(written);
  return { source, written: JSON.stringify(written), own, given: JSON.stringify(given) };
}

/** As it is where the schema's defaults do not fit into it. */
function withDefaults(schema: ConfigSchema | undefined, custom: string): string {
  const whole = schema?.withDefaults(JSON.parse(custom) as ConfigObject);
  return whole === undefined || 'flaw' in whole ? custom : JSON.stringify(whole.config);
}

function refused(plugin: string, source: ConfigSource, errors: readonly Flaw[]): TenonError {
  const [first = { pointer: '', message: 'is not valid' }] = errors;
  const where = source === 'registry' ? 'set in the registry' : 'its application gives it';
  return new TenonError(
    'ConfigInvalid',
    `the config of ${plugin}, as ${where}: ${first.pointer === '' ? 'it' : first.pointer} ${first.message}`,
    {
      next:
        source === 'registry'
          ? `set another one: PUT /api/v1/plugins/${plugin}/config`
          : `correct \`custom\` in its config.yaml, or set it: PUT /api/v1/plugins/${plugin}/config`,
      details: { plugin, source, errors },
    },
  );
}

/** What is secret in `config` and stands there in clear. */
function clearSecrets(schema: ConfigSchema | undefined, config: ConfigObject): Flaw[] {
  const places = schema?.secretsIn(config) ?? new Set();
  const flaws: Flaw[] = [];
  const look = (value: unknown, pointer: string): void => {
    if (places.has(pointer)) {
      if (!mayBeKnown(value))
        flaws.push({ pointer, message: 'is a secret: give it as ${NAME} (variable) or ${file:NAME} (file)' });
      return;
    }
    for (const [name, inner] of membersOf(value)) look(inner, below(pointer, name));
  };
  look(config, '');
  return flaws;
}

/** `config` for people: `***` in place of every secret that stands in it in clear. */
export function maskedConfig(schema: ConfigSchema | undefined, config: ConfigObject): ConfigObject {
  const places = schema?.secretsIn(config) ?? new Set();
  const mask = (value: unknown, pointer: string): unknown => {
    if (places.has(pointer) && !mayBeKnown(value) && pointer !== '') return '***';
    if (places.has('') && pointer !== '') return mayBeKnown(value) ? value : '***';
    if (Array.isArray(value)) return value.map((item, index) => mask(item, below(pointer, index)));
    if (!isObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, mask(member, below(pointer, name))]),
    );
  };
  return mask(config, '') as ConfigObject;
}

function membersOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

/** Whether two JSON texts say the same, in whichever order. */
export function sameJson(one: string | undefined, other: string | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return isDeepStrictEqual(JSON.parse(one), JSON.parse(other));
}
