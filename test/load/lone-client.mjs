/** A client in a process of its own: `{ url, count, atOnce }` makes requests, and gives back `[status, ms]` of each. */
import http from 'node:http';

const agent = new http.Agent({ keepAlive: true });

/** @type {(url: string) => Promise<[number | undefined, number]>} */
function get(url) {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve([answer.statusCode, performance.now() - began]));
    });
    request.once('error', reject);
  });
}

/** @type {(url: string, count: number) => Promise<[number | undefined, number][]>} */
async function getInTurn(url, count) {
  const answers = [];
  for (let made = 0; made < count; made++) answers.push(await get(url));
  return answers;
}

process.on('message', ({ url, count, atOnce }) => {
  const asked = atOnce ? Promise.all(Array.from({ length: count }, () => get(url))) : getInTurn(url, count);
  void asked.then((answers) => process.send?.(answers));
});
process.once('disconnect', () => process.exit());
