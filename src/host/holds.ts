/** Whether a build of a plugin may be loaded where it is to run. */
import type { Containing } from './containing.js';
import { apartAs, type Isolated } from './isolation-view.js';
import type { Recorder } from './record.js';
import type { Versions } from './versions.js';

export interface HoldsOptions {
  containing: Pick<Containing, 'refuse'>;
  versions: Pick<Versions, 'condemned'>;
  /** Rejects with `BundleKilled` when the library or manifest with this hash may not be loaded. */
  refuseKilled: (id: string, sha256: string) => Promise<void>;
}

/** What is to be loaded. */
export interface Held {
  readonly id: string;
  /** Where it is to run. */
  readonly isolated: Isolated | undefined;
  /** The bundle it comes from. */
  readonly bundle?: { readonly sha256: string } | undefined;
  readonly recorder: Pick<Recorder, 'warn'>;
}

export class Holds {
  readonly #options: HoldsOptions;

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  /** Rejects with `PluginQuarantined`, `BuildCrashed` or `BundleKilled` for a library that may not be loaded, whoever asks. */
  async permit({ id, isolated, bundle }: Held, sha256: string): Promise<void> {
    const { containing, refuseKilled } = this.#options;
    containing.refuse(id, sha256, isolated);
    await refuseKilled(id, sha256);
    if (bundle !== undefined) await refuseKilled(id, bundle.sha256);
  }

  /** Why a library is not loaded unless somebody asks for it, if so. One that was taken back in the host's process is, out of that. */
  async whyTakenBack({ id, isolated, recorder }: Held, sha256: string): Promise<string | undefined> {
    const condemned = await this.#options.versions.condemned(id, sha256);
    if (condemned === undefined || condemned.isApart || apartAs(isolated) === undefined) return condemned?.reason;
    recorder.warn(
      `this build was taken back in the host's process, and is loaded again in one of its own: ${condemned.reason}`,
    );
    return undefined;
  }
}
