/** The JSON Schema (2020-12) of a config: compiled, asked, and kept from taking the thread. The only importer of ajv. */
import { createRequire } from 'node:module';
import type { Ajv2020, ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import type { ConfigObject } from './config-value.js';
import { refers } from './references.js';
import {
  below,
  type Flaw,
  isObject,
  schemaLimit,
  secretPlaces,
  type SchemaObject,
  SchemaFlawed,
  shapeFlaw,
} from './schema-shape.js';
import { TimeExceeded, withinTime } from './within-time.js';

export { configFlaw, type ConfigObject } from './config-value.js';
export { type Flaw, SchemaFlawed } from './schema-shape.js';

/** For compiling one schema, and for asking it once, ms. */
const timeLimitMs = 500;
/** Flaws that are told of one config. */
const flawLimit = 100;
const keptSchemas = 64;

/** Annotations, as the dialect has it: they are known by name, and not checked. */
const formats = [
  'date-time',
  'date',
  'time',
  'duration',
  'email',
  'idn-email',
  'hostname',
  'idn-hostname',
  'ipv4',
  'ipv6',
  'uri',
  'uri-reference',
  'iri',
  'iri-reference',
  'uuid',
  'uri-template',
  'json-pointer',
  'relative-json-pointer',
  'regex',
  'password',
];

const options = {
  strictSchema: true,
  strictNumbers: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
  $data: false,
  allErrors: true,
  ownProperties: true,
  inlineRefs: false,
  useDefaults: true,
  validateSchema: true,
  addUsedSchema: false,
  logger: false,
  formats: Object.fromEntries(formats.map((format) => [format, true as const])),
} as const;

/** Keywords that fail for what is further in. */
const dependOnInner = new Set(['anyOf', 'oneOf', 'not', 'if', 'contains', 'enum', 'const', 'uniqueItems']);

/** Of schemas that were compiled last, by their JSON. */
const compiled = new Map<string, ConfigSchema>();

/** One schema. What it is asked takes bounded time. */
export class ConfigSchema {
  /** As it was written. */
  readonly source: SchemaObject;
  readonly #validate: ValidateFunction;

  private constructor(source: SchemaObject, validate: ValidateFunction) {
    this.source = source;
    this.#validate = validate;
  }

  /** The schema that `json` is. Throws {@link SchemaFlawed}. */
  static of(json: string): ConfigSchema {
    const known = compiled.get(json);
    if (known !== undefined) return known;
    if (Buffer.byteLength(json) > schemaLimit)
      throw new SchemaFlawed({ pointer: '', message: `is larger than ${schemaLimit} bytes` });
    const source: unknown = JSON.parse(json);
    if (!isObject(source)) throw new SchemaFlawed({ pointer: '', message: 'must be a JSON Schema: an object' });
    const flaw = shapeFlaw(source);
    if (flaw !== undefined) throw new SchemaFlawed(flaw);
    const schema = new ConfigSchema(source, compile(source));
    const [oldest] = compiled.keys();
    if (compiled.size >= keptSchemas && oldest !== undefined) compiled.delete(oldest);
    compiled.set(json, schema);
    return schema;
  }

  /** A copy of `config` with what the schema says of what is absent; what is wrong, when that cannot be found out. */
  withDefaults(config: ConfigObject): { config: ConfigObject } | { flaw: Flaw } {
    const copy = structuredClone(config);
    const [flaw] = this.#ask(copy, () => false);
    return flaw === undefined ? { config: copy } : { flaw };
  }

  /** What is wrong with `config`, its defaults filled in. Never a value of it. */
  flaws(config: ConfigObject): Flaw[] {
    return this.#ask(structuredClone(config));
  }

  /** What is wrong with it whatever its references turn out to be. */
  flawsAsWritten(config: ConfigObject): Flaw[] {
    const open = referringPlaces(config);
    return this.#ask(
      structuredClone(config),
      ({ keyword, instancePath }) =>
        !open.some(
          (place) => place === instancePath || (dependOnInner.has(keyword) && place.startsWith(`${instancePath}/`)),
        ),
    );
  }

  /** Pointers of what is secret in `config`, also where it is not as the schema wants it; `''`, all of it, for one that takes too long. */
  secretsIn(config: ConfigObject): Set<string> {
    try {
      return withinTime(timeLimitMs, () => secretPlaces(this.source, config));
    } catch {
      return new Set(['']);
    }
  }

  #ask(config: object, counts: (error: ErrorObject) => boolean = () => true): Flaw[] {
    const validate = this.#validate;
    try {
      if (withinTime(timeLimitMs, () => validate(config))) return [];
      return flawsOf((validate.errors ?? []).filter(counts));
    } catch (error) {
      if (error instanceof TimeExceeded)
        return [{ pointer: '', message: `is not checked against its schema in ${timeLimitMs} ms` }];
      if (error instanceof RangeError) return [{ pointer: '', message: 'is too deep for its schema' }];
      throw error;
    } finally {
      validate.errors = null;
    }
  }
}

/** Loaded with the first schema: most hosts have none. */
function loadAjv(): typeof Ajv2020 {
  return (createRequire(import.meta.url)('ajv/dist/2020.js') as { Ajv2020: typeof Ajv2020 }).Ajv2020;
}

function compile(source: SchemaObject): ValidateFunction {
  const ajv = new (loadAjv())(options);
  ajv.addVocabulary(['$anchor']);
  // Compiles the schema of schemas, which is no matter of this one.
  void ajv.validateSchema({});
  try {
    return withinTime(timeLimitMs, () => {
      if (ajv.validateSchema(source) !== true) {
        const [flaw] = flawsOf(ajv.errors ?? []);
        throw new SchemaFlawed(flaw ?? { pointer: '', message: 'is no JSON Schema' });
      }
      return ajv.compile(source);
    });
  } catch (error) {
    if (error instanceof SchemaFlawed) throw error;
    if (error instanceof TimeExceeded)
      throw new SchemaFlawed({ pointer: '', message: `is not compiled in ${timeLimitMs} ms` });
    throw new SchemaFlawed({ pointer: '', message: `cannot be used: ${(error as Error).message}` });
  }
}

/** As many as are told, none twice. */
function flawsOf(errors: readonly ErrorObject[]): Flaw[] {
  const flaws: Flaw[] = [];
  for (const error of errors) {
    const { instancePath: pointer } = error;
    const message = sentenceOf(error);
    if (!flaws.some((flaw) => flaw.pointer === pointer && flaw.message === message)) flaws.push({ pointer, message });
    if (flaws.length >= flawLimit) break;
  }
  return flaws;
}

function sentenceOf({ keyword, params, message = 'is not as its schema says' }: ErrorObject): string {
  const given = params as Record<string, unknown>;
  if (keyword === 'additionalProperties' || keyword === 'unevaluatedProperties') {
    const name = given['additionalProperty'] ?? given['unevaluatedProperty'];
    return `must not have the property ${JSON.stringify(name)}`;
  }
  if (keyword === 'enum') return `must be one of ${JSON.stringify(given['allowedValues']).slice(0, 200)}`;
  return message;
}

/** Pointers of the texts that refer to secrets. */
function referringPlaces(value: unknown, at = ''): string[] {
  if (typeof value === 'string') return refers(value) ? [at] : [];
  if (Array.isArray(value)) return value.flatMap((item, index) => referringPlaces(item, below(at, index)));
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([name, member]) => referringPlaces(member, below(at, name)));
}
