/** `tenon events`: what happens in a running host, while it happens. */
import { type AskFlags, Client, type StreamedEvent } from './client.js';
import { follow } from './follow.js';
import { readableMs, reloadLine } from './phases.js';

/** One event in one line. */
function eventLine(event: StreamedEvent): string {
  const { type, at, record, ms, ...facts } = event;
  const words = [facts.plugin, facts.phase, facts.level, facts.message, facts.reason].filter(
    (word) => word !== undefined,
  );
  if (facts.missed === null) words.push('the host began anew');
  else if (facts.missed !== undefined) words.push(`${facts.missed} events were missed`);
  if (facts.gauge !== undefined) words.push(`${facts.gauge} ${facts.value}, limit ${facts.limit}`);
  if (ms !== undefined) words.push(readableMs(ms));
  if (facts.generation !== undefined) words.push(`generation ${facts.generation}`);
  return `${at}  ${type.padEnd(18)}  ${record === undefined ? words.join(' ') : reloadLine(record)}`;
}

/** Follow the events of the plugin `id`, or all, until the host is gone. Rejects with `HostNotRunning` then. */
export async function events(id: string | undefined, flags: AskFlags): Promise<never> {
  const client = Client.find(flags);
  if (id !== undefined) await client.get(`/api/v1/plugins/${encodeURIComponent(id)}`);
  const tell = (event: StreamedEvent): void => {
    if (id !== undefined && event.plugin !== id) return;
    process.stdout.write(`${flags.json === true ? JSON.stringify(event) : eventLine(event)}\n`);
  };
  return follow(client, { target: '/api/v1/events', flags, tell });
}
