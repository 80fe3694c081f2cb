/** `tenon events`: what happens in a running host, while it happens. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asTenonError } from '../base/errors.js';
import { type AskFlags, Client, Refusal, type StreamedEvent } from './client.js';
import { readableMs, reloadLine } from './phases.js';

/** For a host that begins anew, ms. */
const absenceMs = 10_000;
const pollMs = 200;

/** One event in one line. */
function eventLine(event: StreamedEvent): string {
  const { type, at, record, ms, ...facts } = event;
  const words = [facts.plugin, facts.phase, facts.level, facts.message, facts.reason].filter(
    (word) => word !== undefined,
  );
  if (facts.missed === null) words.push('the host began anew');
  else if (facts.missed !== undefined) words.push(`${facts.missed} events were missed`);
  if (ms !== undefined) words.push(readableMs(ms));
  if (facts.generation !== undefined) words.push(`generation ${facts.generation}`);
  return `${at}  ${type.padEnd(18)}  ${record === undefined ? words.join(' ') : reloadLine(record)}`;
}

/** Follow the events of the plugin `id`, or all, until the host is gone. Rejects with `HostNotRunning` then. */
export async function events(id: string | undefined, flags: AskFlags): Promise<never> {
  let client = Client.find(flags);
  if (id !== undefined) await client.get(`/api/v1/plugins/${encodeURIComponent(id)}`);
  for (let deadline = performance.now(); ; ) {
    try {
      for await (const event of client.events()) {
        if (id !== undefined && event.plugin !== id) continue;
        process.stdout.write(`${flags.json === true ? JSON.stringify(event) : eventLine(event)}\n`);
      }
      deadline = performance.now() + absenceMs;
    } catch (error) {
      const code = error instanceof Refusal ? error.problem.error : asTenonError(error).code;
      if ((code !== 'HostNotRunning' && code !== 'HostClosing') || performance.now() > deadline) throw error;
    }
    await sleep(pollMs);
    client = again(client, flags);
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
