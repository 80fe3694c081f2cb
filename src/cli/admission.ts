/** What the host asks of a library before it loads it, asked without a host. */
import type { Settings } from '../base/config.js';
import { Closer } from '../base/closer.js';
import { asTenonError } from '../base/errors.js';
import { type Core, loadCore } from '../binding/core.js';
import type { Application } from '../compiler/application.js';
import { unsaidVersion } from '../compiler/config.js';
import type { Diagnostic } from '../compiler/diagnostics.js';
import { atItsSource, placeOfPlugin } from '../compiler/source.js';
import { isolationOf, isolationSettings } from '../host/isolation-of.js';
import { admit, type Admitted, type AdmitOptions, type Image } from '../plugin/admit.js';
import { type IsolationPlan, planOf } from '../plugin/isolation.js';
import { Staging } from '../plugin/stage.js';
import { Trial } from '../plugin/trial.js';

/** The admission of one command. Nothing is begun before the first library comes. */
export class Admission {
  readonly #closer = new Closer();
  readonly #stagings = new Map<string, Promise<Staging>>();
  #core: Core | undefined;
  #trial: Trial | undefined;

  /**
   * Resolves when a host with these settings would begin to load `library` of `application`, to what keeps it from being
   * packed. One with sanitizers is not `tried`: it runs in a program that has them. Rejects as {@link admit} does, for an id with
   * the place in the source.
   */
  async check(
    application: Application,
    library: string,
    settings: Settings,
    tried: boolean,
  ): Promise<readonly Diagnostic[]> {
    try {
      const isolation = isolationIn(application, settings);
      const { facts } = await this.#admit(library, { expectedId: application.id, isolation }, settings, tried);
      const { version } = facts.note;
      if (version === application.version || application.version === unsaidVersion) return [];
      const place = await placeOfPlugin(application);
      return place === undefined
        ? []
        : [{ ...place, severity: 'warning', message: versionsDiffer('TENON_PLUGIN', version, application) }];
    } catch (error) {
      throw await atItsSource(asTenonError(error), application);
    }
  }

  /** The same of a library that was read already, and tried; `name` is its for people. Rejects as {@link admit} does. */
  async checkImage(name: string, image: Image, settings: Settings, expectedId?: string): Promise<void> {
    const own = expectedId === undefined ? {} : { expectedId };
    const { isolation: mode, requireConfinement } = settings;
    const isolation = mode === 'process' ? planOf({ requireConfinement }, process.cwd()) : undefined;
    await this.#admit(name, { image, isolation, ...own }, settings, true);
  }

  /** End what was begun; what is being tried rejects. Closing twice is fine. */
  close(): Promise<void> {
    return this.#closer.close();
  }

  async #admit(
    library: string,
    what: Pick<AdmitOptions, 'expectedId' | 'image' | 'isolation'>,
    settings: Settings,
    tried: boolean,
  ): Promise<Admitted> {
    const core = (this.#core ??= loadCore());
    const admitted = await admit(library, {
      ...what,
      sizeLimit: settings.imageLimit,
      core,
      trial: tried ? this.#runner() : { try: () => Promise.resolve({ routes: [], more: 0 }) },
      staging: await this.#staging(settings.data, core),
      limits: { deadlineMs: settings.trialMs },
    });
    admitted.staged.unlink();
    return admitted;
  }

  #runner(): Trial {
    if (this.#trial !== undefined) return this.#trial;
    const trial = new Trial();
    this.#closer.add('trial', () => trial.close());
    return (this.#trial = trial);
  }

  #staging(dataDirectory: string, core: Core): Promise<Staging> {
    const before = this.#stagings.get(dataDirectory);
    if (before !== undefined) return before;
    const opening = Staging.open({ dataDirectory, core });
    this.#stagings.set(dataDirectory, opening);
    // Whoever waits for it is told when it could not be opened.
    this.#closer.add('staging', () =>
      opening.then(
        (staging) => staging.close(),
        () => {},
      ),
    );
    return opening;
  }
}

/** What it is kept to where it would run in processes of its own. */
function isolationIn({ id, folder, config }: Application, settings: Settings): IsolationPlan | undefined {
  const wish = config.reserved.isolation;
  const { mode, plan } = isolationOf({ id, folder }, wish && { wish, isBundle: false }, isolationSettings(settings));
  return mode === 'process' ? plan : undefined;
}

/** The sentence for a plugin whose version, at `where`, is not the one of the application. */
export function versionsDiffer(where: string, found: string, { version }: Application): string {
  const said = version === unsaidVersion ? 'says none' : `says ${version}`;
  return `${where} says version ${found}, and config.yaml ${said}`;
}
