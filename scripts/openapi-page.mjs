// Writes the page of the API's document into dist/openapi: index.html, explorer.js.gz, and page.json with their ETags and
// the policy that lets nothing but this script run. Does nothing when what is there was made of the same parts.
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join(root, 'dist', 'openapi');
const facts = path.join(folder, 'page.json');
const explorer = createRequire(import.meta.url).resolve('openapi-explorer/dist/browser/openapi-explorer.min.js');

const style = 'body{margin:0}openapi-explorer{height:100vh}noscript{font:1rem sans-serif;margin:2rem;display:block}';

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  // It writes style sheets and style attributes.
  "style-src 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

function pageOf(script) {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Tenon: what this host serves</title>
    <link rel="icon" href="data:,">
    <style>${style}</style>
    <script type="module" src="${script}"></script>
  </head>
  <body>
    <openapi-explorer spec-url="/openapi.json" hide-server-selection collapse></openapi-explorer>
    <noscript>This page needs JavaScript. The document is <a href="/openapi.json">openapi.json</a>.</noscript>
  </body>
</html>
`;
}

function hashOf(bytes) {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

async function isThere(parts) {
  try {
    await Promise.all(['index.html', 'explorer.js.gz'].map((file) => readFile(path.join(folder, file))));
    return JSON.parse(await readFile(facts, 'utf8')).madeOf === parts;
  } catch {
    return false;
  }
}

const plain = await readFile(explorer);
const parts = hashOf(Buffer.concat([plain, await readFile(import.meta.filename)]));
if (!(await isThere(parts))) {
  const script = hashOf(plain);
  const page = pageOf(`/docs/explorer.js?v=${script}`);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'index.html'), page);
  await writeFile(path.join(folder, 'explorer.js.gz'), await promisify(gzip)(plain, { level: 9 }));
  const known = { madeOf: parts, page: hashOf(page), script, policy };
  await writeFile(facts, `${JSON.stringify(known, undefined, 2)}\n`);
}
