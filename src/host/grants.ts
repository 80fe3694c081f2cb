/** What the operator grants plugins: lines of `tenon.yaml`, and those of a file that installing and the API write. */
import { TenonError } from '../base/errors.js';
import { isGranted, mostPermissions, splitGrant, wrongPermission } from '../base/permission.js';
import { readRegular } from '../base/regular.js';
import { replaceFile } from '../base/replace-file.js';
import type { PermissionLines } from '../binding/core.js';
import type { Audit, AuditEntry } from '../bundle/audit.js';
import { idGrammar } from '../compiler/config.js';

/** Largest file of grants, bytes. */
const fileLimit = 16 * 1024 * 1024;

/** What a plugin asks for, and whether that is all it may have. */
export interface Asked {
  readonly permissions: readonly string[];
  /** `manifest`: it has what of this is granted. `config`: of one without a manifest, whose `config.yaml` says it. */
  readonly by: 'manifest' | 'config';
}

/** How things stand between a plugin and its operator. */
export interface Permissions {
  readonly asked: readonly string[];
  /** What of that it may: a grant of less than was asked for is in here as it was granted. */
  readonly granted: readonly string[];
  /** What was asked for and is not granted, or not all of it. */
  readonly missing: readonly string[];
}

/** The same with who asks, and so whether anything is to be granted. */
export interface Standing extends Permissions {
  readonly by: Asked['by'];
}

export interface GrantsOptions {
  /** Absolute path; made, 0600, when first written. */
  file: string;
  /** Lines `ID PERMISSION` of the settings, checked, which nothing takes back. */
  fixed: readonly string[];
  /** Whether what `config.yaml` says binds plugins without a manifest, too. */
  scope: 'bundles' | 'all';
  audit: Pick<Audit, 'write'>;
  /** Told after each change, with the id. */
  changed?: (id: string) => void;
}

/** The grants of one host. A change is on the disk and in the audit log before it holds. */
export class Grants {
  readonly #options: GrantsOptions;
  readonly #fixed: ReadonlyMap<string, readonly string[]>;
  #given: ReadonlyMap<string, readonly string[]>;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(options: GrantsOptions, given: ReadonlyMap<string, readonly string[]>) {
    this.#options = options;
    this.#fixed = readFixed(options.fixed);
    this.#given = given;
  }

  /** Rejects with `SettingsInvalid` for a file that is not as it was written. */
  static async open(options: GrantsOptions): Promise<Grants> {
    return new Grants(options, await readGrants(options.file));
  }

  /** Every line that is granted to `id`, whether it asks for it or not. */
  linesOf(id: string): readonly string[] {
    const { fixed, given } = this.whoGrants(id);
    return [...new Set([...fixed, ...given])];
  }

  /** The same apart: lines of the settings, and those that can be taken back. */
  whoGrants(id: string): { fixed: readonly string[]; given: readonly string[] } {
    return { fixed: this.#fixed.get(id) ?? [], given: this.#given.get(id) ?? [] };
  }

  /** How it stands with a plugin that has a manifest and asks for `asked`. */
  of(id: string, asked: readonly string[]): Permissions {
    const lines = this.linesOf(id);
    const whole = asked.filter((line) => isGranted(lines, line));
    const parts = lines.filter((line) => isGranted(asked, line));
    const missing = asked.filter((line) => !whole.includes(line));
    return { asked, granted: [...new Set([...whole, ...parts])], missing };
  }

  /** The same of one with or without a manifest. */
  standing(id: string, { permissions, by }: Asked): Standing {
    const whole = { asked: permissions, granted: permissions, missing: [] };
    return { by, ...(by === 'manifest' ? this.of(id, permissions) : whole) };
  }

  /** What the plugin may do; undefined: everything, but use tables of others, which are what it asks for. */
  linesFor(id: string, { permissions, by }: Asked): PermissionLines | undefined {
    if (by === 'config' && this.#options.scope === 'bundles') return undefined;
    return { granted: this.standing(id, { permissions, by }).granted, asked: permissions, by };
  }

  /** Grant these too. Rejects with TypeError for what is no permission, and with what the disk and the audit log say. */
  grant(id: string, lines: readonly string[], by: AuditEntry['by']): Promise<void> {
    return this.change(id, { grant: lines }, by);
  }

  /** Take these back: the very lines that were granted. What the settings grant stays. */
  revoke(id: string, lines: readonly string[], by: AuditEntry['by']): Promise<void> {
    return this.change(id, { revoke: lines }, by);
  }

  /** Both at once; what is in both is granted. */
  change(
    id: string,
    { grant = [], revoke = [] }: { grant?: readonly string[]; revoke?: readonly string[] },
    by: AuditEntry['by'],
  ): Promise<void> {
    return this.#change(id, by, (present) => [...present.filter((line) => !revoke.includes(line)), ...grant]);
  }

  /** Grant these and, beside the settings, nothing else. */
  set(id: string, lines: readonly string[], by: AuditEntry['by']): Promise<void> {
    return this.#change(id, by, () => lines);
  }

  /** The plugin is gone for good. */
  forget(id: string, by: AuditEntry['by']): Promise<void> {
    return this.set(id, [], by);
  }

  #change(id: string, by: AuditEntry['by'], change: (present: readonly string[]) => readonly string[]): Promise<void> {
    const turn = this.#writing.then(async () => {
      const present = this.#given.get(id) ?? [];
      const wanted = [...new Set(change(present))];
      requirePermissions(id, wanted);
      const came = wanted.filter((line) => !present.includes(line));
      const went = present.filter((line) => !wanted.includes(line));
      if (came.length === 0 && went.length === 0) return;
      const given = new Map(this.#given).set(id, wanted);
      if (wanted.length === 0) given.delete(id);
      const { audit, file, changed } = this.#options;
      if (came.length > 0) await audit.write({ action: 'grant', plugin: id, message: came.join(' '), by });
      if (went.length > 0) await audit.write({ action: 'revoke', plugin: id, message: went.join(' '), by });
      await replaceFile(file, textOf(given), { durable: true });
      this.#given = given;
      changed?.(id);
    });
    this.#writing = turn.catch(() => {}); // who asked has been told
    return turn;
  }
}

function requirePermissions(id: string, lines: readonly string[]): void {
  if (!idGrammar.test(id)) throw new TypeError(`id must be that of a plugin, not ${JSON.stringify(id)}`);
  if (lines.length > mostPermissions)
    throw new TypeError(`lines must be at most ${mostPermissions}, not ${lines.length}`);
  for (const line of lines) {
    const wrong = wrongPermission(line);
    if (wrong !== undefined) throw new TypeError(`${JSON.stringify(line)} ${wrong}`);
  }
}

function readFixed(lines: readonly string[]): Map<string, readonly string[]> {
  const fixed = new Map<string, readonly string[]>();
  for (const { id, permission } of lines.map(splitGrant)) fixed.set(id, [...(fixed.get(id) ?? []), permission]);
  return fixed;
}

function textOf(given: ReadonlyMap<string, readonly string[]>): string {
  const grants = Object.fromEntries([...given].sort(([one], [other]) => (one < other ? -1 : 1)));
  return `${JSON.stringify({ grants }, undefined, 2)}\n`;
}

async function readGrants(file: string): Promise<Map<string, readonly string[]>> {
  const refuse = (why: string, cause?: unknown): TenonError =>
    new TenonError('SettingsInvalid', `${file} ${why}`, {
      next: 'correct it, or remove it and grant anew with `tenon permissions`',
      details: { file },
      cause,
    });
  let text: string;
  try {
    text = (await readRegular(file, fileLimit)).toString('utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw refuse(`cannot be read: ${(cause as Error).message}`, cause);
  }
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (cause) {
    throw refuse('is not JSON', cause);
  }
  const given = new Map<string, readonly string[]>();
  if (!isObject(read) || !isObject(read['grants']) || Object.keys(read).length !== 1)
    throw refuse('must be {"grants": {"<id>": ["<permission>", …]}}');
  for (const [id, lines] of Object.entries(read['grants'])) {
    if (!isTexts(lines)) throw refuse(`says of ${JSON.stringify(id)} what is no list of texts`);
    try {
      requirePermissions(id, lines);
    } catch (cause) {
      throw refuse(`says of ${JSON.stringify(id)}: ${(cause as Error).message}`, cause);
    }
    given.set(id, lines);
  }
  return given;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
