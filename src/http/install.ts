/** Installing over HTTP: an archive comes, a plugin goes. */
import type { Installing, InstallOptions } from '../host/installing.js';
import type { Answered, Asked, Operation } from './operation.js';
import { dryRun, pluginId } from './parameters.js';
import { installRefusals } from './refusals.js';
import { always, listOf, objectOf, ref, text, truth } from './shapes.js';
import { formType, plainTypes, takeUpload } from './upload.js';

export interface InstallRoutes {
  installing: Installing;
  /** Bytes of an archive. */
  limit: number;
}

export function installOperations({ installing, limit }: InstallRoutes): Operation[] {
  return [installOperation(installing, limit), uninstallOperation(installing)];
}

function installOperation(installing: Installing, limit: number): Operation {
  const archive = text(undefined, { format: 'binary', contentMediaType: 'application/gzip' });
  const installed = { 'application/json': ref('Installed') };
  return {
    id: 'installPlugin',
    tag: 'bundles',
    method: 'post',
    path: '/api/v1/plugins/install',
    scope: 'install',
    summary: 'Install or upgrade a plugin from the archive of a bundle',
    description:
      'All of it is checked, and its library passes a trial, before anything is written. When the new version does not serve, the one before is there again.',
    parameters: [
      dryRun,
      {
        name: 'allowDowngrade',
        in: 'query',
        description: 'Also a version before the newest that was installed',
        schema: truth(),
      },
      {
        name: 'grant',
        in: 'query',
        description: 'Permissions to grant, of those it asks for, or `all`; may be given again',
        schema: listOf(text(undefined, { minLength: 1 })),
      },
    ],
    requestBody: {
      description: `The archive, as the body or as the field "file" of a form; at most ${limit} bytes`,
      required: true,
      content: {
        ...Object.fromEntries(plainTypes.map((type) => [type, archive])),
        [formType]: objectOf({ file: archive }),
      },
      read: 'raw',
      limit,
    },
    answers: {
      200: { description: 'It was upgraded, is there already, or was only tried', content: installed },
      201: { description: 'It was not there before', content: installed },
    },
    errors: installRefusals,
    handle: async (asked): Promise<Answered> => {
      const options = optionsOf(asked);
      const upload = takeUpload(asked.request, limit);
      try {
        const body = await installing.install(upload.bytes, options);
        return { status: body.status === 'installed' ? 201 : 200, body };
      } finally {
        upload.stop();
      }
    },
  };
}

function uninstallOperation(installing: Installing): Operation {
  return {
    id: 'uninstallPlugin',
    tag: 'bundles',
    method: 'delete',
    path: '/api/v1/plugins/{id}',
    scope: 'install',
    summary: 'Unload a plugin that was installed, and remove its folder',
    parameters: [
      pluginId,
      {
        name: 'purge',
        in: 'query',
        description: 'Also its tables, state, config and kept builds',
        schema: truth(),
      },
    ],
    answers: {
      200: {
        description: 'It is gone',
        content: {
          'application/json': objectOf({
            status: always('uninstalled'),
            plugin: objectOf({ id: text() }),
            warnings: listOf(text(), 'What is left of it although it was to go'),
          }),
        },
      },
    },
    errors: [
      'PluginNotFound',
      'NotInstalled',
      'InstallFailed',
      'InstallRunning',
      'NotRecorded',
      'RegistryUnavailable',
      'HostClosing',
    ],
    handle: async ({ path: { id = '' }, query, by }) => ({
      body: await installing.uninstall(id, { purge: query['purge'] === true, by }),
    }),
  };
}

function optionsOf({ query, by }: Asked): InstallOptions {
  const grant = query['grant'] as readonly string[] | undefined;
  return {
    dryRun: query['dryRun'] === true,
    allowDowngrade: query['allowDowngrade'] === true,
    ...(grant === undefined ? {} : { grant: grant.includes('all') ? 'all' : grant }),
    origin: 'upload',
    by,
  };
}
