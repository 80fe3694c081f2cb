// Clients that call, take the answer, rest, and call again: in a process of their own. Arguments: URL, clients, ms. Prints JSON.
import { Agent, get } from 'node:http';

const [url, clients, ms] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const restMs = 4;
const times = [];
const faults = [];
const end = performance.now() + ms;

async function work() {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  while (performance.now() < end) {
    const begun = performance.now();
    await new Promise((resolve) => {
      get(url, { agent }, (answer) => {
        if (answer.statusCode !== 200) faults.push(answer.statusCode);
        answer.resume().on('end', resolve);
      }).on('error', (error) => {
        faults.push(String(error));
        resolve();
      });
    });
    times.push(performance.now() - begun);
    await new Promise((resolve) => setTimeout(resolve, restMs));
  }
  agent.destroy();
}

await Promise.all(Array.from({ length: clients }, work));
times.sort((one, other) => one - other);
const at = (share) => times[Math.floor((times.length - 1) * share)];
process.stdout.write(JSON.stringify({ answered: times.length, faults, p50: at(0.5), p99: at(0.99) }));
