/** The host's part in an upgrade: it asks the parent for one, and hears what came of it. */
import { TenonError } from '../base/errors.js';
import { type ParentRequest, tellParent, type UpgradeRefusal } from './parent.js';

type Answer = Extract<ParentRequest, { ask: 'upgrade' }>;

interface Asker {
  resolve: (upgrade: { version: string }) => void;
  reject: (error: TenonError) => void;
}

export class UpgradeWish {
  readonly #askers = new Map<number, Asker>();
  #last = 0;

  /**
   * Have the next host run from the package in `folder`, without one from where this one came. Resolves when that one stands by: then this
   * one begins anew. Rejects with a code of `UpgradeRefusal`, and nothing has changed.
   */
  ask(folder?: string): Promise<{ version: string }> {
    return new Promise((resolve, reject) => {
      const wish = ++this.#last;
      this.#askers.set(wish, { resolve, reject });
      void tellParent({ told: 'upgrade', wish, folder });
    });
  }

  /** The parent says what came of it; one that no host has asked for is nobody's here. */
  answer(answer: Answer): void {
    const { wish = 0 } = answer;
    const asker = this.#askers.get(wish);
    this.#askers.delete(wish);
    if ('failed' in answer) asker?.reject(new TenonError(answer.code, answer.failed, { next: nextOf[answer.code] }));
    else asker?.resolve({ version: answer.version });
  }
}

const nextOf: Readonly<Record<UpgradeRefusal, string>> = {
  UpgradeFailed: 'this host goes on; see what the new one said',
  UpgradeRunning: 'wait for its end',
  ReleaseInvalid: 'name the folder of the package, as node_modules/tenon',
  HostClosing: 'ask the next host',
};
