/** From what the native store rejects with to an error with a code, a cause and a next step. */
import { asTenonError, type ErrorCode, TenonError } from '../base/errors.js';

const steps: Readonly<Partial<Record<ErrorCode, string>>> = {
  RocksdbMissing: 'set TENON_ROCKSDB to a librocksdb 7.8 or newer; `tenon doctor` tells which ones were looked for',
  StoreLocked: 'end the other process that has it open',
  StoreDamaged: 'restore a backup (`tenon restore`), or move the folder away to begin empty',
  StoreFull: 'free disk space; writes go on by themselves then',
  StoreFailed: 'look at the disk, then restart the host',
  StoreClosed: 'ask the next host',
  QueryInvalid: 'correct the filter, the order or the fields',
  SortTooLarge: 'index the field that is sorted by (@indexed), or filter more',
  SchemaIncompatible: 'keep what is stored readable: leave the field as it was, and add one with another name',
  ChangesGone: 'read the records again, and listen from now on',
  CursorInvalid: 'begin without a cursor',
};

/** The error with the code that the store gave; any other as it is. */
export function storeError(error: unknown, details: Record<string, unknown> = {}): TenonError {
  const code = (error as { code?: ErrorCode } | undefined)?.code;
  const next = code === undefined ? undefined : steps[code];
  if (error instanceof TenonError || code === undefined || next === undefined) return asTenonError(error);
  return new TenonError(code, error instanceof Error ? error.message : String(error), { next, details, cause: error });
}
