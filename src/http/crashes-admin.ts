/** Crashes over HTTP: what is known of them, what they have led to, and ending that by hand. */
import type { Containment } from '../base/containment.js';
import type { CrashReport } from '../base/crash-report.js';
import type { CrashReports } from '../base/crash-reports.js';
import { TenonError } from '../base/errors.js';
import type { PluginView } from '../host/plugin.js';
import { answerOf } from './action.js';
import { summaryOf } from './crash-summary.js';
import type { Operation, Parameter } from './operation.js';
import { pluginId } from './parameters.js';
import { loadRefusals } from './refusals.js';
import { always, listOf, objectOf, oneOf, ref, text, whole } from './shapes.js';

export interface CrashesAdminOptions {
  reports: CrashReports;
  /** The report with the names of functions and sources. */
  symbolised: (report: CrashReport) => Promise<CrashReport>;
  /** What is held back now. */
  containment: () => Containment;
  /** Hold a plugin back no longer, or with none end the safe mode, and load what that lets; undefined where it is not here. */
  release: (id?: string) => Promise<PluginView | undefined>;
}

const crashId: Parameter = {
  name: 'id',
  in: 'path',
  description: 'Id of the report',
  schema: text(undefined, { maxLength: 64 }),
};

export function crashOperations(options: CrashesAdminOptions): Operation[] {
  return [...reportOperations(options), ...releaseOperations(options)];
}

function reportOperations({ reports, symbolised }: CrashesAdminOptions): Operation[] {
  return [
    {
      id: 'listCrashes',
      tag: 'crashes',
      method: 'get',
      path: '/api/v1/crashes',
      scope: 'read',
      summary: 'Crashes of the host, and whom they are put down to',
      parameters: [
        { name: 'plugin', in: 'query', description: 'Put down to this plugin, or perhaps to it', schema: text() },
        {
          name: 'limit',
          in: 'query',
          description: 'At most so many; 100 when it is not given',
          schema: whole(undefined, { minimum: 1, maximum: 10_000 }),
        },
      ],
      answers: {
        200: {
          description: 'Newest first',
          content: { 'application/json': objectOf({ crashes: listOf(ref('CrashSummary')) }) },
        },
      },
      errors: [],
      handle: async ({ query: { plugin, limit = 100 } }) => {
        const listed = await reports.list({ plugin: plugin as string | undefined, limit: limit as number });
        return { body: { crashes: listed.reports.map(summaryOf) } };
      },
    },
    {
      id: 'showCrash',
      tag: 'crashes',
      method: 'get',
      path: '/api/v1/crashes/{id}',
      scope: 'read',
      summary: 'All that is known of a crash',
      description:
        'Names of functions are looked up in the kept build with the hash that crashed, sources where it has debug information.',
      parameters: [crashId],
      answers: { 200: { description: 'The report', content: { 'application/json': ref('CrashReport') } } },
      errors: ['CrashNotFound'],
      handle: async ({ path: { id = '' } }) => ({ body: await symbolised(await reports.read(id)) }),
    },
    {
      id: 'removeCrash',
      tag: 'crashes',
      method: 'delete',
      path: '/api/v1/crashes/{id}',
      scope: 'install',
      summary: 'Remove the report of a crash; what it has led to stays',
      parameters: [crashId],
      answers: {
        200: {
          description: 'Done',
          content: { 'application/json': objectOf({ status: always('removed'), id: text() }) },
        },
      },
      errors: ['CrashNotFound'],
      handle: async ({ path: { id = '' } }) => {
        if (!(await reports.remove(id)))
          throw new TenonError('CrashNotFound', `there is no crash report ${JSON.stringify(id)}`, {
            next: 'list them with `tenon crashes`',
            details: { crash: id },
          });
        return { body: { status: 'removed', id } };
      },
    },
  ];
}

function releaseOperations({ containment, release }: CrashesAdminOptions): Operation[] {
  return [
    {
      id: 'showContainment',
      tag: 'crashes',
      method: 'get',
      path: '/api/v1/containment',
      scope: 'read',
      summary: 'What is not loaded because of crashes',
      answers: { 200: { description: 'As it is now', content: { 'application/json': ref('Containment') } } },
      errors: [],
      handle: () => ({ body: containment() }),
    },
    {
      id: 'releasePlugin',
      tag: 'crashes',
      method: 'post',
      path: '/api/v1/plugins/{id}/release',
      scope: 'config',
      summary: 'Hold a plugin back no longer, and load it',
      description:
        'Ends its quarantine, and lets builds of it run again that crashed the host. It is released also when it does not load then.',
      parameters: [pluginId],
      answers: { 200: { description: 'It is done', content: { 'application/json': ref('PluginAction') } } },
      errors: ['NotQuarantined', 'SafeMode', ...loadRefusals],
      handle: async ({ path: { id = '' } }) => {
        const view = await release(id);
        if (view === undefined) return { body: { status: 'released', plugin: { id, state: 'missing' } } };
        return { body: { ...answerOf('load', view, undefined), status: 'released' } };
      },
    },
    {
      id: 'endSafeMode',
      tag: 'crashes',
      method: 'post',
      path: '/api/v1/release',
      scope: 'config',
      summary: 'End the safe mode, and load what there is',
      answers: {
        200: {
          description: 'It is over; `unchanged`: there was none',
          content: { 'application/json': objectOf({ status: oneOf(['released', 'unchanged']) }) },
        },
      },
      errors: ['HostClosing', 'ApplicationUnreadable'],
      handle: async () => {
        if (containment().safeMode === undefined) return { body: { status: 'unchanged' } };
        await release();
        return { body: { status: 'released' } };
      },
    },
  ];
}
