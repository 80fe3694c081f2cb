/** `containment.json` in a data directory: what is held back, over every end of every process. Written by the parent alone. */
import { renameSync } from 'node:fs';
import path from 'node:path';
import { type BegunGenerations, type HeldBuild, type KeptContainment, nothingContained } from '../base/containment.js';
import { TenonError } from '../base/errors.js';
import { readRegularSync } from '../base/regular.js';
import { replaceFile } from '../base/replace-file.js';

const name = 'containment.json';
const fileBytes = 16 * 1024 * 1024;

/**
 * What the file says; nothing is held without one. Of a damaged one nothing is held either: it is put aside, and `warn` is told.
 * Throws `SettingsInvalid` when it cannot be read.
 */
export function readContainment(data: string, warn: (line: string) => void): KeptContainment {
  const file = path.join(data, name);
  let text: string;
  try {
    text = readRegularSync(file, fileBytes).toString();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return nothingContained;
    const why = error instanceof Error ? error.message : String(error);
    throw new TenonError('SettingsInvalid', `data: what is held back cannot be read: ${why}`, {
      next: `look at ${file}, or remove it: then nothing is held back`,
      details: { setting: 'data', path: file },
      cause: error,
    });
  }
  const containment = parse(text);
  if (containment !== undefined) return containment;
  const aside = `${file}.damaged`;
  renameSync(file, aside);
  warn(`${file} was damaged and is now ${aside}: no plugin is held back`);
  return nothingContained;
}

/** Rejects with what the system says. */
export function writeContainment(data: string, containment: KeptContainment): Promise<void> {
  return replaceFile(path.join(data, name), `${JSON.stringify(containment, undefined, 2)}\n`, { durable: true });
}

function parse(text: string): KeptContainment | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // said by whoever asked
  }
  const { quarantined, bad, demoted, safeMode, generations } = (value ?? {}) as Record<string, unknown>;
  if (!areBuilds(quarantined) || !areBuilds(bad) || !areBuilds(demoted ?? [])) return undefined;
  const begun = begunIn(generations);
  const held = {
    quarantined,
    bad,
    ...(areBuilds(demoted) ? { demoted } : {}),
    ...(begun === undefined ? {} : { generations: begun }),
  };
  if (safeMode === undefined) return held;
  return isTold(safeMode) ? { ...held, safeMode } : undefined;
}

/** Without what is no number: that holds nothing back. */
function begunIn(value: unknown): BegunGenerations | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const known = Object.entries(value).filter(([, number]) => Number.isSafeInteger(number) && Number(number) > 0);
  return Object.fromEntries(known);
}

function areBuilds(value: unknown): value is HeldBuild[] {
  const names = ['plugin', 'sha256', 'reason', 'since'];
  return Array.isArray(value) && (value as { crash?: unknown }[]).every((one) => areTexts(one, names) && isCrash(one));
}

function isCrash({ crash }: { crash?: unknown }): boolean {
  return crash === undefined || typeof crash === 'string';
}

function isTold(value: unknown): value is NonNullable<KeptContainment['safeMode']> {
  return areTexts(value, ['reason', 'crash', 'since']);
}

function areTexts(value: unknown, names: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return names.every((field) => typeof (value as Record<string, unknown>)[field] === 'string');
}
