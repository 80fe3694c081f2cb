/** A stream of the host, from one host after the other. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asTenonError } from '../base/errors.js';
import { type AskFlags, Client, Refusal } from './client.js';

/** For a host that begins anew, ms. */
const absenceMs = 10_000;
const pollMs = 200;

/** Tell what comes from `target`, at first of `client`, until the host is gone. Rejects with `HostNotRunning` then. */
export async function follow<Event>(
  client: Client,
  { target, flags, tell }: { target: string; flags: AskFlags; tell: (event: Event) => void },
): Promise<never> {
  let host = client;
  for (let deadline = performance.now(); ; ) {
    try {
      for await (const event of host.stream<Event>(target)) tell(event);
      deadline = performance.now() + absenceMs;
    } catch (error) {
      const code = error instanceof Refusal ? error.problem.error : asTenonError(error).code;
      if (!['HostNotRunning', 'HostEnded', 'HostClosing'].includes(String(code)) || performance.now() > deadline)
        throw error;
    }
    await sleep(pollMs);
    host = again(host, flags);
  }
}

/** The client of the host that is there now; the one before while there is none. */
function again(before: Client, flags: AskFlags): Client {
  try {
    return Client.find(flags).continuing(before);
  } catch (error) {
    if (asTenonError(error).code !== 'HostNotRunning') throw error;
    return before;
  }
}
