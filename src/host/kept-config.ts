/** What of a plugin's config was in force when it served last, as it is kept beside its builds. */
import { isolationKeys } from '../base/isolation.js';
import type { Asked } from './grants.js';
import type { SaidIsolation } from './isolation-of.js';
import type { Applied } from './plugin.js';

const nobody: Asked = { permissions: [], by: 'config' };
const nothing: Applied = { uses: [], auth: undefined, custom: '{}', asked: nobody };

/** Undefined for one that says nothing. */
export function writeKeptConfig({
  uses,
  auth,
  custom,
  asked,
  cors,
  files,
  limits,
  isolation,
}: Applied): string | undefined {
  const asks = asked.by === 'manifest' || asked.permissions.length > 0;
  const says = cors !== undefined || files !== undefined || limits !== undefined || isolation !== undefined;
  if (uses.length === 0 && auth === undefined && custom === nothing.custom && !asks && !says) return undefined;
  return `${JSON.stringify({ uses, auth, custom, ...(asks ? { asked } : {}), cors, files, limits, isolation })}\n`;
}

/** Undefined stands for one that said nothing. Throws for text that was not written by {@link writeKeptConfig}. */
export function readKeptConfig(text: string | undefined): Applied {
  if (text === undefined) return nothing;
  const read: unknown = JSON.parse(text);
  if (isApplied(read)) return { ...nothing, ...read };
  throw new Error('it does not say what was in force');
}

function isApplied(value: unknown): value is Applied {
  if (!isObject(value)) return false;
  const { uses, auth, custom, asked = nobody, cors = {}, files = {}, limits = {}, isolation } = value;
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
    typeof custom === 'string' &&
    isAsked(asked) &&
    isObject(cors) &&
    isObject(files) &&
    isObject(limits) &&
    Object.values(limits).every(isObject) &&
    (isolation === undefined || isSaid(isolation))
  );
}

function isSaid(value: unknown): value is SaidIsolation {
  if (!isObject(value) || typeof value['isBundle'] !== 'boolean') return false;
  const { wish } = value;
  if (!isObject(wish) || !('mode' in wish)) return false;
  const checks = new Map<string, (found: unknown) => string | undefined>(Object.entries(isolationKeys));
  return Object.entries(wish).every(([key, found]) => {
    const check = checks.get(key);
    return check !== undefined && check(found) === undefined;
  });
}

function isAsked(value: unknown): value is Asked {
  if (!isObject(value)) return false;
  const { permissions, by } = value;
  const isList = Array.isArray(permissions) && permissions.every((each) => typeof each === 'string');
  return isList && (by === 'manifest' || by === 'config');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
