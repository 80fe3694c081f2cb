/** A host with the plugin config.c, whose config is set over HTTP, and a registry that is no database. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { CreateHostOptions } from '../../src/index.js';
import { buildPlugin } from '../plugins/build.js';
import { DoorInMemory } from '../registry/door-in-memory.js';
import { World } from './world.js';

export const target = '/api/v1/plugins/config/config';
const token = 'Bearer a-token-of-the-tests';

/** Lines of a config.yaml. */
export const schema = `configSchema:
  type: object
  properties:
    port: { type: integer, minimum: 1, default: 8080 }
    name: { type: string, default: "tenon" }
    password: { type: string, writeOnly: true }
    nested:
      type: object
      properties:
        key: { type: string, format: password }
      additionalProperties: false
  additionalProperties: false
`;

export interface Reply {
  status: number;
  tag: string | null;
  body: {
    config?: unknown;
    source?: string;
    schema?: unknown;
    revision?: number;
    status?: unknown;
    plugin?: { id: string; state: string; generation?: number };
    error?: string;
    message?: string;
    details?: { errors?: { pointer: string; message: string }[]; name?: string; pointer?: string };
    history?: { revision: number; config: unknown; changedBy: string }[];
  };
}

export class ConfigWorld {
  readonly world: World;
  readonly registry = new DoorInMemory();

  private constructor(world: World) {
    this.world = world;
  }

  static async make(): Promise<ConfigWorld> {
    return new ConfigWorld(await World.make());
  }

  async ask(
    method: string,
    place = target,
    init: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Reply> {
    const { body } = init;
    const answer = await this.world.request(method, place, {
      headers: { authorization: token, ...init.headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return {
      status: answer.status,
      tag: answer.headers.get('etag'),
      body: (answer.body === '' ? {} : JSON.parse(answer.body)) as Reply['body'],
    };
  }

  /** What the plugin reads. */
  async own(): Promise<unknown> {
    return JSON.parse((await this.world.request('POST', '/config/own')).body) as unknown;
  }

  /** What the host itself has logged. */
  hostLog(): string {
    return JSON.stringify(this.world.log.filter(({ fields }) => fields === undefined));
  }

  async put(config: string, defines?: Record<string, string>): Promise<void> {
    await this.world.publish('config', await buildPlugin('config', defines === undefined ? {} : { defines }));
    await this.world.write('config', 'config.yaml', config);
  }

  async start(config: string, options: CreateHostOptions = {}): Promise<void> {
    await this.put(config);
    this.registry.register('config');
    await this.world.start({ environment: {}, ...options });
  }

  async secretFile(name: string, content: string): Promise<void> {
    await mkdir(path.join(this.world.data, 'secrets'), { recursive: true });
    await writeFile(path.join(this.world.data, 'secrets', name), content);
  }

  close(): Promise<void> {
    return this.world.close();
  }
}
