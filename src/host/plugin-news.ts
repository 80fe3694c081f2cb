/** What plugins that subscribe to `tenon.plugin` are told of others. */
import type { Front } from '../binding/core.js';
import type { HostEvent } from './journal.js';

/** Texts of an event of tenon.events/1. */
export interface PluginNews {
  /** `ID serves`, `ID stopped` or `ID failed`. */
  message: string;
  /** `event` has the type of the host's event, the others what that says. */
  fields: Record<string, string>;
}

/** What `event` is to them; undefined for what they are not told. */
export function newsOf(event: HostEvent): PluginNews | undefined {
  if (event.type === 'plugin.serving') {
    const { type, plugin, generation, sha256 } = event;
    const build = sha256 === undefined ? {} : { sha256 };
    return { message: `${plugin} serves`, fields: { event: type, plugin, generation: String(generation), ...build } };
  }
  if (event.type === 'plugin.stopped') {
    const { type, plugin, generation } = event;
    return { message: `${plugin} stopped`, fields: { event: type, plugin, generation: String(generation) } };
  }
  if (event.type !== 'reload.failed') return undefined;
  const { type, plugin, record } = event;
  const { code = 'Internal', message = '' } = record.error ?? {};
  return { message: `${plugin} failed`, fields: { event: type, plugin, code, error: message, reload: record.id } };
}

/** Tell the plugins of `front` that subscribe to it. */
export function emitNews(front: Front, event: HostEvent): void {
  const news = newsOf(event);
  if (news !== undefined) front.emit('tenon.plugin', news.message, news.fields);
}
