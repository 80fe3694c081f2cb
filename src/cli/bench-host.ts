/**
 * The host that `tenon bench` measures, a process of its own. Its argument is a `BenchOrder` as JSON; what it is asked comes,
 * and what it answers goes, as messages. It ends with its parent.
 */
import type { CreateHostOptions } from '../index.js';
import { createHost } from '../index.js';
import { describeError } from '../base/errors.js';
import type { BenchAnswer, BenchOrder, BenchQuestion } from './bench-process.js';

const { plugin, options } = JSON.parse(process.argv[2] ?? '') as BenchOrder;
const { gc } = globalThis as { gc?: () => void };

function tell(answer: BenchAnswer): void {
  process.send?.(answer);
}

async function serve(given: CreateHostOptions): Promise<void> {
  const host = await createHost(given);
  const close = (): void => {
    host.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.once('disconnect', close);
  // The one who asked is told of it by this process' end.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  const url = await host.listen();
  process.on('message', (question: BenchQuestion) => {
    if (question === 'facts') {
      gc?.();
      const pinned = host
        .plugins()
        .flatMap(({ id, generations }) =>
          generations
            .filter(({ state }) => state === 'pinned')
            .map(
              ({ number, pinnedReason }) =>
                `${id}, generation ${number}: ${pinnedReason ?? 'for a reason that is not known'}`,
            ),
        );
      tell({ facts: { residentBytes: process.memoryUsage.rss(), images: host.images(), pinned } });
      return;
    }
    host.reload(plugin).then(
      (record) => tell({ record }),
      (error: unknown) => tell({ failed: describeError(error), record: host.reloads()[0] }),
    );
  });
  const view = host.plugins().find(({ id }) => id === plugin);
  tell({ ready: { url, ...(view === undefined ? {} : { view }) } });
}

try {
  await serve(options);
} catch (error) {
  tell({ failed: describeError(error) });
  process.disconnect?.();
}
