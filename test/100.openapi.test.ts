import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { World } from './load/world.js';

let world: World;

beforeAll(async () => {
  world = await World.make();
  await world.start();
});

afterAll(() => world.close());

test('the document is valid OpenAPI 3.1', async () => {
  const { body, status, headers } = await world.get('/openapi.json');
  expect([status, headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8']);
  const validator = new Validator();
  const result = await validator.validate(JSON.parse(body) as Record<string, unknown>);
  expect(result.errors).toBeUndefined();
  expect([result.valid, validator.version]).toEqual([true, '3.1']);
});
