/** The mutations of tables. */
import { GraphQLID, GraphQLList, GraphQLNonNull, type GraphQLResolveInfo } from 'graphql';
import { type ErrorCode, TenonError } from '../base/errors.js';
import type { TableWrite, TableWritten } from '../binding/store.js';
import { answersKeyOnly } from './graphql-selection.js';
import { parseRecord, type Reading, type RecordObject } from './graphql-reading.js';
import { costing, type Field, type TableTypes } from './graphql-tables.js';
import { forbiddenBy, permitted } from './permitted-write.js';

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
  asked: { info: GraphQLResolveInfo; isBulk: boolean },
): Promise<RecordObject[]> {
  const { isBulk, info } = asked;
  const { access } = reading;
  const { served } = types;
  const allowed = writes.map((one) => permitted(access, served, one));
  // The answer shows what was written: nothing is, when that may not be seen.
  if (!access.may(served, 'read') && !answersKeyOnly(info, types.schema.definition.primaryKey))
    throw access.refusal(served, 'read');
  reading.check();
  const results = await reading.store.write(allowed.map((one) => one.write));
  const failed = results.findIndex(({ outcome }) => codes[outcome] !== undefined);
  const { name } = types.schema.definition;
  if (failed >= 0) {
    const written = results[failed] as TableWritten;
    const forbidden = forbiddenBy(access, served, allowed[failed] ?? { write: undefined }, written);
    throw forbidden ?? refusal(name, written, isBulk ? failed : undefined);
  }
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
    info: GraphQLResolveInfo,
    kind: TableWrite['kind'],
    key?: string,
    given?: Input,
  ): Promise<RecordObject> => {
    const json = given === undefined ? {} : { json: text(given) };
    const [written] = await write(reading, types, [{ table, kind, ...(key === undefined ? {} : { key }), ...json }], {
      info,
      isBulk: false,
    });
    return written as RecordObject;
  };
  const id = { id: { type: new GraphQLNonNull(GraphQLID) } };
  const one = { type: record, extensions: costing('write') };
  const create: Field<unknown, { input: Input }> = {
    ...one,
    description: 'Make a record that is not there yet.',
    args: { input: { type: new GraphQLNonNull(input) } },
    resolve: (_source, args, reading, info) => single(reading, info, 'create', undefined, args.input),
  };
  const put: Field<unknown, { input: Input }> = {
    ...one,
    description: 'Make a record, in place of the one with its primary key if there is one.',
    args: { input: { type: new GraphQLNonNull(input) } },
    resolve: (_source, args, reading, info) => single(reading, info, 'put', undefined, args.input),
  };
  const remove: Field<unknown, { id: string }> = {
    ...one,
    description: 'Take a record away; the answer is what it was.',
    args: id,
    resolve: (_source, args, reading, info) => single(reading, info, 'remove', args.id),
  };
  const createMany: Field<unknown, { inputs: Input[] }> = {
    type: new GraphQLList(new GraphQLNonNull(record)),
    description: 'Make records that are not there yet, all of them or none.',
    extensions: costing('writes'),
    args: { inputs: { type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(input))) } },
    resolve: (_source, args, reading, info) =>
      write(
        reading,
        types,
        args.inputs.map((each) => ({ table, kind: 'create', json: text(each) })),
        { info, isBulk: true },
      ),
  };
  const update: Field<unknown, { id: string; input: Input }> = {
    ...one,
    description: 'Change some fields of a record; null empties one.',
    args: { ...id, input: { type: new GraphQLNonNull(patch ?? input) } },
    resolve: (_source, args, reading, info) => single(reading, info, 'patch', args.id, args.input),
  };
  return {
    [names.create]: create,
    [names.createMany]: createMany,
    [names.put]: put,
    ...(patch === undefined ? {} : { [names.update]: update }),
    [names.remove]: remove,
  };
}
