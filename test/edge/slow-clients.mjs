// Clients of the worst kind, in a process of their own. The argument is JSON: url, token, everyMs, and how many there are
// of each kind. One that is cut off comes again; those that do not read do not hear of it, and come again after `againMs`.
// Every 200 ms a line of JSON tells how many were cut off, of those that hear of it.
import { connect } from 'node:net';

const { url, token, everyMs, againMs, rampMs, heads, bodies, readers, stuck } = JSON.parse(process.argv[2]);
const { hostname, port } = new URL(url);
const cut = { heads: 0, bodies: 0 };
const live = new Set();
const all = heads + bodies + readers + stuck;
let begun = 0;

function begin(kind, target, act) {
  const socket = connect({ port: Number(port), host: hostname });
  const client = { socket, act, turn: 0 };
  live.add(client);
  socket.on('error', () => {});
  socket.on('close', () => {
    if (kind in cut) cut[kind] += 1;
    live.delete(client);
    setTimeout(() => begin(kind, target, act), 50);
  });
  socket.write(target);
  if (!(kind in cut)) setTimeout(() => socket.destroy(), againMs);
}

/** The first time, one after the other: that all of them come at once is another question. */
function plan(count, ...client) {
  for (let left = count; left > 0; left--) setTimeout(begin, (rampMs * begun++) / all, ...client);
}

const head = 'GET /service/build HTTP/1.1\r\nHost: localhost\r\n';
const drip = (text) => (client) => client.socket.write(text[client.turn++ % text.length]);
plan(heads, 'heads', head, drip('X-Slow: and slower\r\n'));
const post = 'POST /service/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n';
plan(bodies, 'bodies', post, drip('x'));
// What the system does not buffer as a whole, and what it does.
const big = (bytes) => `GET /service/big?bytes=${bytes} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const read = ({ socket }) => socket.read(1);
plan(Math.ceil(readers / 4), 'readers', big(6_000_000), read);
plan(Math.floor((readers * 3) / 4), 'readers', big(300_000), read);
const table = 'GET /shop/Item HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n';
const events = `GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`;
plan(Math.floor(stuck / 4), 'stuck', events, () => {});
plan(Math.ceil((stuck * 3) / 4), 'stuck', table, () => {});

setInterval(() => {
  for (const client of live) client.act(client);
}, everyMs);
setInterval(() => process.stdout.write(`${JSON.stringify(cut)}\n`), 200);
process.stdin.on('end', () => process.exit(0)).resume();
