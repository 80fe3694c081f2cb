/** What a host is made of. */
import type { Log } from '../base/log.js';
import type { Core } from '../binding/core.js';
import type { GenerationLimits } from '../plugin/limits.js';
import type { Applications } from './applications.js';
import type { Chains } from './chains.js';
import type { Containing } from './containing.js';
import type { Desires } from './desired.js';
import type { Grants } from './grants.js';
import type { GuardFindings } from './guard-findings.js';
import type { PinnedLimit } from './images.js';
import type { JournalOptions } from './journal.js';
import type { ProbationLimits } from './probation.js';
import type { RefusedState } from './remembering.js';
import type { Admission } from './replace.js';
import type { RouteBook } from './routes.js';
import type { SavedStates } from './saved-states.js';
import type { SecretPlaces } from './secrets.js';
import type { TableDoor } from './table-world.js';

export interface HostOptions {
  core: Core;
  /** The pointers of its plugins, and what they list. */
  chains: Chains;
  log: Log;
  admission: Admission;
  applications: Applications;
  limits: GenerationLimits;
  tables: TableDoor;
  /** What the registry says. */
  desires: Desires;
  grants: Grants;
  secretPlaces: SecretPlaces;
  states: SavedStates;
  /** Whether a plugin's state goes from generation to generation, and from host to host; asked at each reload. */
  preserveState: () => boolean;
  refusedState: RefusedState;
  containing: Containing;
  /** What guards find out about its plugins. */
  findings: GuardFindings;
  /** Told when what `wishes` gives may be another. */
  wishesChanged?: (() => void) | undefined;
  routes: RouteBook;
  /** Whether an id is that of a plugin which is part of the program. */
  isStatic: (id: string) => boolean;
  onEvent?: JournalOptions['onEvent'];
  attempt?: JournalOptions['attempt'];
  /** Told of each plugin that is gone for good. */
  forgotten: (id: string) => void;
  probation: ProbationLimits;
  /** Absolute path of the directory of the builds that are kept to go back to, and how many of each plugin. */
  versions: { directory: string; limit: number };
  pinnedLimit: PinnedLimit;
  /** Rejects with `BundleKilled` when the library or manifest with this hash may not be loaded. */
  refuseKilled: (id: string, sha256: string) => Promise<void>;
}
