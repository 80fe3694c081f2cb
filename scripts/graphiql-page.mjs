// Writes GraphiQL into dist/graphiql: index.html.gz, and page.json with its ETag and the policy that lets nothing but its
// own scripts run. Does nothing when what is there was made of the same parts.
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join(root, 'dist', 'graphiql');
const facts = path.join(folder, 'page.json');

const options = {
  title: 'GraphiQL',
  defaultQuery: '# Ctrl-Space tells what there is to ask for, Ctrl-Enter asks.\n\n{\n  __typename\n}\n',
};

/** What the page is made of, so that it is made again when that is another. */
async function madeOf() {
  const packageFile = createRequire(import.meta.url).resolve('@graphql-yoga/render-graphiql/package.json');
  const { version } = JSON.parse(await readFile(packageFile, 'utf8'));
  const script = await readFile(import.meta.filename);
  return `${version}-${createHash('sha256').update(script).digest('hex').slice(0, 16)}`;
}

async function isThere(parts) {
  try {
    await readFile(path.join(folder, 'index.html.gz'));
    return JSON.parse(await readFile(facts, 'utf8')).madeOf === parts;
  } catch {
    return false;
  }
}

function hashOf(text) {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** Bodies of the inline scripts, as a browser cuts them out. */
function scriptsIn(html) {
  return [...html.matchAll(/<script>([\s\S]*?)<\/script/gi)].map(([, body]) => body);
}

function policyFor(html) {
  const scripts = scriptsIn(html);
  if (scripts.length !== 1) throw new Error(`GraphiQL: ${scripts.length} scripts where one was expected`);
  return [
    "default-src 'none'",
    `script-src ${scripts.map(hashOf).join(' ')}`,
    // Its editor runs in workers, which it makes of its own text.
    'worker-src blob:',
    // Its editor writes style sheets and style attributes.
    "style-src 'unsafe-inline'",
    "img-src 'self' data:",
    'font-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

const parts = await madeOf();
if (!(await isThere(parts))) {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  // Newlines as the HTML parser makes them, for the hash is over what it has made.
  const html = renderGraphiQL(options).replaceAll(/\r\n?/g, '\n').trim();
  const bytes = await promisify(gzip)(html, { level: 9 });
  const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}"`;
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'index.html.gz'), bytes);
  await writeFile(facts, `${JSON.stringify({ madeOf: parts, etag, policy: policyFor(html) }, undefined, 2)}\n`);
}
