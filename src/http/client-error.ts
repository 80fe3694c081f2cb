/** Errors of tables as clients are told them: the words of the disk and of what nobody foresaw name files of the host. */
import { type ErrorCode, TenonError } from '../base/errors.js';

const sentences: Readonly<Partial<Record<ErrorCode, string>>> = {
  StoreFull: 'there is no space left for tables: nothing was written, and reads go on',
  StoreFailed: 'the tables cannot be written: their disk has failed',
  StoreDamaged: 'the tables are damaged',
  Internal: 'an error of the host; it is in its log',
};

/** The error without what is the host's own, for whoever writes `error` into the log; `error` itself when there is nothing to hide. */
export function clientError(error: TenonError): TenonError {
  const { code, next, details, cause } = error;
  const sentence = sentences[code];
  // An Internal without a cause is in words of the host.
  if (sentence === undefined || cause === undefined) return error;
  return new TenonError(code, sentence, { ...(next === undefined ? {} : { next }), details, cause });
}
