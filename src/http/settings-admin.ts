/** What the admin API shows of the settings of the process, and has it read again. */
import type { PrintedSetting } from '../base/config.js';
import { TenonError } from '../base/errors.js';
import type { Operation, Schema } from './operation.js';

/** A setting that is another one than before. */
export interface ChangedSetting {
  name: string;
  /** Place in `tenon.yaml`. */
  key: string;
  /** `live`: it holds at once; `fresh`: a fresh process begins with it, in the place of this one. */
  effect: 'live' | 'fresh';
}

/** What came of reading the settings again. */
export interface SettingsReload {
  /** `restarting`: requests under way end, and a fresh process goes on. */
  status: 'unchanged' | 'applied' | 'restarting';
  changed: ChangedSetting[];
}

/** Settings that the process of the host has read by itself. */
export interface ReadSettings {
  list: () => readonly PrintedSetting[];
  /**
   * Read them again and take what has changed. Rejects with `SettingsInvalid`, `SettingsFixed` and `HostClosing`, and
   * takes nothing then. @param dryRun say what would change, and change nothing
   */
  reload: (dryRun: boolean) => Promise<SettingsReload>;
}

const setting: Schema = {
  type: 'object',
  required: ['name', 'key', 'value', 'source'],
  properties: {
    name: { type: 'string', description: 'Name of the option of `createHost`' },
    key: { type: 'string', description: 'Place in `tenon.yaml`' },
    value: { type: ['string', 'number', 'boolean', 'array'], items: { type: 'string' } },
    source: { type: 'string', enum: ['flag', 'environment', 'tenon.yaml', 'default'] },
    environment: { type: 'string', description: 'The variable that it may come from' },
  },
};

const reloaded: Schema = {
  type: 'object',
  required: ['status', 'changed'],
  properties: {
    status: { type: 'string', enum: ['unchanged', 'applied', 'restarting'] },
    changed: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'key', 'effect'],
        properties: {
          name: { type: 'string' },
          key: { type: 'string' },
          effect: { type: 'string', enum: ['live', 'fresh'] },
        },
      },
    },
  },
};

/** The operations on settings; of a host whose program gives it its settings they say so. */
export function settingsOperations(settings: ReadSettings | undefined): Operation[] {
  const offered = (): ReadSettings => {
    if (settings !== undefined) return settings;
    throw new TenonError('RouteNotFound', 'this host is part of a program, which gives it its settings', {
      next: 'change them in the program',
    });
  };
  return [
    {
      id: 'listSettings',
      tag: 'settings',
      method: 'get',
      path: '/api/v1/settings',
      scope: 'config',
      summary: 'Every setting, its value and where it came from; secrets are masked',
      answers: {
        200: {
          description: 'The settings',
          content: {
            'application/json': {
              type: 'object',
              required: ['settings'],
              properties: { settings: { type: 'array', items: setting } },
            },
          },
        },
      },
      errors: ['RouteNotFound'],
      handle: () => ({ body: { settings: offered().list() } }),
    },
    {
      id: 'reloadSettings',
      tag: 'settings',
      method: 'post',
      path: '/api/v1/settings/reload',
      scope: 'config',
      summary: 'Read tenon.yaml again, as SIGHUP does',
      description:
        'What can hold at once does; for the rest a fresh process takes the place of this one, without a lost request. ' +
        'When one is wrong, or cannot change while the host runs, nothing is taken.',
      parameters: [
        {
          name: 'dryRun',
          in: 'query',
          description: 'Say what would change, and change nothing',
          schema: { type: 'boolean' },
        },
      ],
      answers: { 200: { description: 'What changes', content: { 'application/json': reloaded } } },
      errors: ['RouteNotFound', 'SettingsInvalid', 'SettingsFixed', 'HostClosing'],
      handle: async ({ query: { dryRun } }) => ({ body: await offered().reload(dryRun === true) }),
    },
  ];
}
