/** The schema that config.yaml gives for `custom`: found, compiled, and what `custom` is measured by. */
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { TenonError } from '../base/errors.js';
import { readRegular } from '../base/regular.js';
import { type ApplicationConfig, configFile, type ConfigProblem, invalid } from './config.js';
import { ConfigSchema } from './config-schema.js';
import type { ConfigObject } from './config-value.js';
import { SchemaFlawed, schemaLimit, segmentsOf } from './schema-shape.js';
import { isBelow } from './way.js';

/**
 * The schema of the application in `folder`; undefined when it has none. `text` is its config.yaml. Rejects with
 * `ConfigInvalid` at the place in question: of a schema that is none, and of a `custom` that is not as it says. `read` gives
 * the bytes of a file of the folder to whoever does not read them there.
 */
export async function checkedSchema(
  folder: string,
  { reserved, custom }: ApplicationConfig,
  text: string,
  read?: (file: string, limit: number) => Promise<Buffer>,
): Promise<ConfigSchema | undefined> {
  const { configSchema: given } = reserved;
  if (given === undefined) return undefined;
  const [name, source, above] =
    typeof given === 'string'
      ? [given, await readSchemaFile(folder, given, text, read), []]
      : [configFile, text, ['configSchema']];
  const schema = compiled(folder, name, source, above, typeof given === 'string' ? source : JSON.stringify(given));
  if (custom === '{}') return schema;
  const flaws = schema.flawsAsWritten(JSON.parse(custom) as ConfigObject);
  if (flaws.length === 0) return schema;
  const document = new Places(text);
  throw invalid(
    folder,
    flaws.map(({ pointer, message }) => ({
      ...document.at(['custom', ...segmentsOf(pointer)]),
      message: `custom${pointer} ${message}`,
    })),
  );
}

function compiled(folder: string, name: string, source: string, above: readonly string[], json: string): ConfigSchema {
  try {
    return ConfigSchema.of(json);
  } catch (error) {
    if (error instanceof SyntaxError) {
      const offset = Number(/position (\d+)/.exec(error.message)?.[1] ?? 0);
      throw invalid(
        folder,
        [{ ...new Places(source).atOffset(offset), message: `is no JSON: ${error.message}` }],
        name,
      );
    }
    if (!(error instanceof SchemaFlawed)) throw error;
    const { pointer, message } = error;
    const place = new Places(source).at([...above, ...segmentsOf(pointer)]);
    throw invalid(folder, [{ ...place, message: `configSchema${pointer} ${message}` }], name);
  }
}

async function readSchemaFile(
  folder: string,
  name: string,
  text: string,
  read: ((file: string, limit: number) => Promise<Buffer>) | undefined,
): Promise<string> {
  const file = path.join(folder, name);
  try {
    if (read !== undefined) return (await read(name, schemaLimit)).toString('utf8').replace(/^\uFEFF/, '');
    if (!isBelow(await realpath(folder), await realpath(file))) throw new Error('it is not in the folder');
    return (await readRegular(file, schemaLimit)).toString('utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    if (error instanceof TenonError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'it is not there' : code === 'EFBIG' ? `more than ${schemaLimit} bytes` : message;
    const place = new Places(text).at(['configSchema']);
    throw invalid(folder, [{ ...place, message: `configSchema ${name} cannot be read: ${why}` }]);
  }
}

/** Where things stand in a file of YAML, or JSON. */
class Places {
  readonly #lines = new LineCounter();
  readonly #document: Document;

  constructor(source: string) {
    this.#document = parseDocument(source, { lineCounter: this.#lines });
  }

  atOffset(offset: number): Omit<ConfigProblem, 'message'> {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** Of what the keys lead to, or of the last of them that is there. */
  at(keys: readonly string[]): Omit<ConfigProblem, 'message'> {
    let node: unknown = this.#document.contents;
    let offset = 0;
    for (const key of keys) {
      const inner = this.#inside(node, key);
      if (!isNode(inner)) break;
      node = inner;
      offset = (inner as Node).range?.[0] ?? offset;
    }
    return this.atOffset(offset);
  }

  #inside(node: unknown, key: string): unknown {
    if (isSeq(node)) return node.items[Number(key)];
    if (!isMap(node)) return undefined;
    return node.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === key)?.value;
  }
}
