/** What is told on the channel of changes: a hint which plugins to read anew, from whoever may write to the channel. */
import { isFields, isPluginName } from './checked-row.js';

/** One plugin to read; `revision` is the one it has got to, when that was told. */
export interface Hint {
  readonly name: string;
  readonly revision: number | undefined;
}

const longestPayload = 8000;

/** Undefined for all that does not name one plugin: then everything is to be read. */
export function hintOf(payload: string): Hint | undefined {
  const told = payload.length > longestPayload ? undefined : parsed(payload);
  if (!isFields(told)) return undefined;
  const { op, name, revision } = told;
  if (!isPluginName(name) || (op !== 'INSERT' && op !== 'UPDATE' && op !== 'DELETE')) return undefined;
  // A plugin that is gone has no revision to compare with.
  const compared = op !== 'DELETE' && typeof revision === 'number' && Number.isSafeInteger(revision);
  return { name, revision: compared ? revision : undefined };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
