/** What of a plugin's config was in force when it served last, as it is kept beside its builds. */
import type { Applied } from './plugin.js';

const nothing: Applied = { uses: [], auth: undefined, custom: '{}' };

/** Undefined for one that says nothing. */
export function writeKeptConfig({ uses, auth, custom }: Applied): string | undefined {
  if (uses.length === 0 && auth === undefined && custom === nothing.custom) return undefined;
  return `${JSON.stringify({ uses, auth, custom })}\n`;
}

/** Undefined stands for one that said nothing. Throws for text that was not written by {@link writeKeptConfig}. */
export function readKeptConfig(text: string | undefined): Applied {
  if (text === undefined) return nothing;
  const read: unknown = JSON.parse(text);
  if (isApplied(read)) return read;
  throw new Error('it does not say what was in force');
}

function isApplied(value: unknown): value is Applied {
  if (!isObject(value)) return false;
  const { uses, auth, custom } = value;
  return (
    Array.isArray(uses) &&
    uses.every(
      (use) =>
        isObject(use) &&
        typeof use['id'] === 'string' &&
        typeof use['required'] === 'boolean' &&
        typeof use['settings'] === 'string',
    ) &&
    (auth === undefined || auth === 'open' || auth === 'identity') &&
    typeof custom === 'string'
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
