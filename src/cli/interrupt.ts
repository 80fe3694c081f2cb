/** Work that SIGINT and SIGTERM end with everything it has started. */

/** What `work` resolves to; 130 when it rejects after a signal, which aborts what it was given. */
export async function unlessInterrupted(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const abort = new AbortController();
  const onSignal = (): void => abort.abort(new Error('interrupted'));
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    return await work(abort.signal);
  } catch (error) {
    if (abort.signal.aborted) return 130;
    throw error;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}
