/** Who may call a route, in words. */
import type { PluginView } from '../index.js';

export function whoOf({ needs }: Pick<PluginView['routes'][number], 'needs'>): string {
  if (needs.includes('anyone')) return 'open';
  return needs.length === 0 ? 'nobody' : needs.join(' or ');
}
