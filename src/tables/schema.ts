/**
 * Reads schema.graphql of an application.
 */
import { type DefinitionNode, GraphQLError, parse, Source } from 'graphql';
import type { ApplicationSchema, Exports } from './application-schema.js';
import { Declarations } from './schema-declarations.js';
import { SchemaProblems } from './schema-problems.js';
import { readRelationships } from './schema-relationships.js';
import { readTable, type TableDraft } from './schema-table.js';
import { SchemaTypes } from './schema-types.js';

export type {
  ApplicationSchema,
  Exports,
  Relationship,
  SchemaEnum,
  SchemaField,
  SchemaObject,
  TableSchema,
} from './application-schema.js';

/** One file of a schema. */
export interface SchemaSource {
  /** As it is named in errors, relative to the application. */
  file: string;
  text: string;
}

/** All files of a schema together, bytes. */
export const schemaLimit = 1024 * 1024;
const mostTokens = 200_000;

function isBlank(text: string): boolean {
  return text.split(/\r\n|[\n\r]/).every((line) => /^[\s,\uFEFF]*(?:#|$)/.test(line));
}

function parseSource({ file, text }: SchemaSource, problems: SchemaProblems): readonly DefinitionNode[] {
  if (isBlank(text)) return [];
  try {
    return parse(new Source(text, file), { maxTokens: mostTokens }).definitions;
  } catch (error) {
    if (error instanceof GraphQLError) {
      const { line, column } = error.locations?.[0] ?? { line: 1, column: 1 };
      const message = error.message.startsWith('Syntax Error: Document contains more')
        ? `the file has more than ${mostTokens} words and signs`
        : error.message.replace(/^Syntax Error: /, '').replace(/\.$/, '');
      problems.add({ file, line, column, message });
    } else if (error instanceof RangeError) {
      problems.add({ file, line: 1, column: 1, message: 'something nests too deeply to be read' });
    } else {
      throw error;
    }
    return [];
  }
}

/**
 * The schema in `sources`, all files together. `defaults` are what config.yaml says of the surfaces: for what an `@export` leaves open.
 * Throws `SchemaInvalid` with `details: {file, line, column, problems}`, every problem with its own file, line and column.
 */
export function readSchema(
  sources: readonly SchemaSource[],
  application: string,
  defaults: Partial<Exports> = {},
): ApplicationSchema {
  const problems = new SchemaProblems(sources.map(({ file }) => file));
  let bytes = 0;
  for (const { file, text } of sources) {
    bytes += Buffer.byteLength(text);
    if (bytes <= schemaLimit) continue;
    problems.add({ file, line: 1, column: 1, message: `the schema is larger than ${schemaLimit} bytes` });
    problems.throwAny();
  }
  const declarations = new Declarations(problems);
  const nodes = sources.flatMap((source) => parseSource(source, problems));
  // What cannot be parsed would only add types that seem to be missing.
  problems.throwAny();
  for (const node of nodes) declarations.add(node);

  const types = new SchemaTypes(declarations, problems);
  const isTable = (name: string): boolean => declarations.tables.has(name);
  const drafts = new Map<string, TableDraft>();
  for (const [name, node] of declarations.tables)
    drafts.set(name, readTable(node, { application, defaults, types, problems, isTable }));
  readRelationships({ drafts, types, problems });
  problems.throwAny();
  return {
    application,
    tables: [...drafts.values()].map(({ schema }) => schema),
    enums: types.enums,
    objects: types.objects,
  };
}
