// What is started anew where nothing is replaced: Express, answering with what the library says: `restarted.mjs library
// port`. Plain JavaScript, so that no compiler is started with it. It ends when its standard input does.
import express from 'express';
import koffi from 'koffi';

const [library = '', port = ''] = process.argv.slice(2);
const mark = koffi.load(library).func('const char *bench_mark()');
express()
  .get('/inline', (_, response) => {
    response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.end(mark());
  })
  .listen(Number(port), '127.0.0.1');
process.stdin.on('end', () => process.exit()).resume();
