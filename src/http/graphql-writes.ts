/** The mutations of tables. */
import { GraphQLID, GraphQLList, GraphQLNonNull } from 'graphql';
import { type ErrorCode, TenonError } from '../base/errors.js';
import type { TableWrite, TableWritten } from '../binding/store.js';
import { parseRecord, type Reading, type RecordObject } from './graphql-reading.js';
import { costing, type Field, type TableTypes } from './graphql-tables.js';

type Input = { readonly [field: string]: unknown };

const codes: Readonly<Partial<Record<TableWritten['outcome'], ErrorCode>>> = {
  missing: 'RecordNotFound',
  exists: 'RecordExists',
  invalid: 'RecordInvalid',
  precondition: 'PreconditionFailed',
};

function refusal(table: string, written: TableWritten, index: number | undefined): TenonError {
  const { outcome, key, field, message } = written;
  const which = key === '' ? table : `${table} ${key}`;
  const place = index === undefined ? '' : `inputs[${index}]: `;
  const sentences: Partial<Record<TableWritten['outcome'], string>> = {
    missing: `there is no ${which}`,
    exists: `there is a ${which} already`,
    invalid: message ?? `${which} breaks the definition of its table`,
    precondition: `${which} is not in the state that was asked for`,
  };
  return new TenonError(codes[outcome] ?? 'Internal', place + (sentences[outcome] ?? `${which} was not written`), {
    details: {
      table,
      ...(key === '' ? {} : { key }),
      ...(field === undefined || field === '' ? {} : { field }),
      ...(index === undefined ? {} : { index }),
    },
  });
}

function text(input: Input): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(input));
  } catch (cause) {
    // A value of type Any may be nested more deeply than there is stack.
    throw new TenonError('RecordInvalid', 'the record is nested too deeply', { cause });
  }
}

async function write(
  reading: Reading,
  types: TableTypes,
  writes: TableWrite[],
  isBulk: boolean,
): Promise<RecordObject[]> {
  reading.check();
  const results = await reading.store.write(writes);
  const failed = results.findIndex(({ outcome }) => codes[outcome] !== undefined);
  const { name } = types.schema.definition;
  if (failed >= 0) throw refusal(name, results[failed] as TableWritten, isBulk ? failed : undefined);
  return results.map((written) => {
    if (written.record === undefined) throw refusal(name, written, undefined);
    return parseRecord(written.record.json);
  });
}

/** The mutations of one table, by name. */
export function mutationsOf(types: TableTypes): Record<string, Field<unknown, never>> {
  const { names, served, input, patch, record } = types;
  const table = served.number;
  const single = async (
    reading: Reading,
    kind: TableWrite['kind'],
    key?: string,
    given?: Input,
  ): Promise<RecordObject> => {
    const json = given === undefined ? {} : { json: text(given) };
    const [written] = await write(
      reading,
      types,
      [{ table, kind, ...(key === undefined ? {} : { key }), ...json }],
      false,
    );
    return written as RecordObject;
  };
  const id = { id: { type: new GraphQLNonNull(GraphQLID) } };
  const one = { type: record, extensions: costing('write') };
  const create: Field<unknown, { input: Input }> = {
    ...one,
    description: 'Make a record that is not there yet.',
    args: { input: { type: new GraphQLNonNull(input) } },
    resolve: (_source, args, reading) => single(reading, 'create', undefined, args.input),
  };
  const put: Field<unknown, { input: Input }> = {
    ...one,
    description: 'Make a record, in place of the one with its primary key if there is one.',
    args: { input: { type: new GraphQLNonNull(input) } },
    resolve: (_source, args, reading) => single(reading, 'put', undefined, args.input),
  };
  const remove: Field<unknown, { id: string }> = {
    ...one,
    description: 'Take a record away; the answer is what it was.',
    args: id,
    resolve: (_source, args, reading) => single(reading, 'remove', args.id),
  };
  const createMany: Field<unknown, { inputs: Input[] }> = {
    type: new GraphQLList(new GraphQLNonNull(record)),
    description: 'Make records that are not there yet, all of them or none.',
    extensions: costing('writes'),
    args: { inputs: { type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(input))) } },
    resolve: (_source, args, reading) =>
      write(
        reading,
        types,
        args.inputs.map((each) => ({ table, kind: 'create', json: text(each) })),
        true,
      ),
  };
  const update: Field<unknown, { id: string; input: Input }> = {
    ...one,
    description: 'Change some fields of a record; null empties one.',
    args: { ...id, input: { type: new GraphQLNonNull(patch ?? input) } },
    resolve: (_source, args, reading) => single(reading, 'patch', args.id, args.input),
  };
  return {
    [names.create]: create,
    [names.createMany]: createMany,
    [names.put]: put,
    ...(patch === undefined ? {} : { [names.update]: update }),
    [names.remove]: remove,
  };
}
