/** Parameters that several operations have. */
import type { Parameter } from './operation.js';
import { text, truth } from './shapes.js';

export const pluginId: Parameter = {
  name: 'id',
  in: 'path',
  description: 'Id of the plugin',
  schema: text(undefined, { pattern: '^[a-z0-9][a-z0-9_-]{0,62}$' }),
};

export const dryRun: Parameter = {
  name: 'dryRun',
  in: 'query',
  description: 'Check everything, and change nothing',
  schema: truth(),
};
