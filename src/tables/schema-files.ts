/** The files of an application that make its schema. */
import { TenonError } from '../base/errors.js';
import { findFiles, readFileOf } from './application-files.js';
import { schemaLimit, type SchemaSource } from './schema.js';

const standard = 'schema.graphql';

/**
 * The files that `patterns` (`schemas` of config.yaml; `schema.graphql` when absent) name in `folder` (absolute), read. None when the
 * standard one is not there. Throws `SchemaInvalid`, `SourceOutside` for a link, and `ApplicationUnreadable`.
 */
export async function readSchemaFiles(folder: string, patterns?: readonly string[]): Promise<SchemaSource[]> {
  const files = await findFiles(folder, patterns ?? [standard]);
  if (files.length === 0 && patterns !== undefined && patterns.length > 0)
    throw invalid(patterns.join(', '), 'is what schemas of config.yaml names, and no such file is there');
  const sources: SchemaSource[] = [];
  for (const file of files) {
    const bytes = await readFileOf(folder, file, schemaLimit);
    if (bytes === undefined) throw invalid(file, `is larger than ${schemaLimit} bytes`);
    sources.push({ file, text: decode(file, bytes) });
  }
  return sources;
}

function decode(file: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalid(file, 'is not UTF-8');
  }
}

function invalid(file: string, message: string): TenonError {
  const problems = [{ file, line: 1, column: 1, message: `the file ${message}` }];
  return new TenonError('SchemaInvalid', `${file} ${message}`, {
    next: `correct ${file}; a host that watches it then tries again`,
    details: { file, line: 1, column: 1, problems },
  });
}
