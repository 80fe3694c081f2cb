/** Applications of this repository that are compiled once per content, for all runs of the tests. */
import os from 'node:os';
import path from 'node:path';
import { readApplication } from '../../src/compiler/application.js';
import { compile } from '../../src/compiler/build.js';

/** Absolute path of the library of the application in `folder` (absolute). It must not be changed: other tests use it too. */
export async function compiled(folder: string): Promise<string> {
  const dataDirectory = path.join(os.tmpdir(), `tenon-test-builds-${os.userInfo().uid}`);
  const { library } = await compile(await readApplication(folder), { dataDirectory, env: process.env });
  return library;
}
