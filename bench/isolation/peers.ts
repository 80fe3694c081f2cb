/** Other ways to call code in another process, each a child of this one that gives the same answer. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials, makeGenericClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { service } from './grpc-service.js';

const expected = 'Hello, World!';
// as much as the core hands to a plugin: path, headers
const request = Buffer.from('/answer/pool\nHost\n127.0.0.1:8080\nConnection\nkeep-alive\nAccept\n*/*');

/** A way to ask; `ask` calls back with the answer. */
export interface Peer {
  ask: (done: (error: Error | null, body: string) => void) => void;
  close: () => Promise<void>;
}

async function end(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill();
  await exit;
}

/** The C program `file`, over a socket in `folder`. */
export async function overSocket(file: string, folder: string): Promise<Peer> {
  const place = path.join(folder, 'peer.sock');
  const child = spawn(file, [place], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const socket = connect(place);
  await once(socket, 'connect');
  const waiting: ((error: Error | null, body: string) => void)[] = [];
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    let at = 0;
    while (rest.length - at >= 4 && rest.length - at >= 4 + rest.readUInt32LE(at)) {
      const begin = at + 4;
      at = begin + rest.readUInt32LE(at);
      waiting.shift()?.(null, rest.toString('latin1', begin, at));
    }
    rest = rest.subarray(at);
  });
  const framed = Buffer.concat([Buffer.alloc(4), request]);
  framed.writeUInt32LE(request.length);
  return {
    ask: (done) => {
      waiting.push(done);
      socket.write(framed);
    },
    close: async () => {
      socket.destroy();
      await end(child);
    },
  };
}

/** gRPC over loopback, with bytes as they are for messages. */
export async function overGrpc(): Promise<Peer> {
  const file = path.join(path.dirname(fileURLToPath(import.meta.url)), 'grpc-server.ts');
  const child = fork(file, { execArgv: ['--import', 'tsx'] });
  const [port] = (await once(child, 'message')) as [number];
  const Client = makeGenericClientConstructor(service, 'Answer');
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const method = client['answer'] as (
    bytes: Buffer,
    done: (error: ServiceError | null, value?: Buffer) => void,
  ) => unknown;
  return {
    ask: (done) => void method.call(client, request, (error, value) => done(error, value?.toString('latin1') ?? '')),
    close: async () => {
      client.close();
      await end(child);
    },
  };
}

/** Nanoseconds a call, over `calls` calls with `inFlight` at any time. */
export function timed(peer: Peer, calls: number, inFlight: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let started = 0;
    let ended = 0;
    const start = (): void => {
      started++;
      peer.ask((error, body) => {
        if (error) reject(error);
        else if (body !== expected) reject(new Error(`not the answer: ${body}`));
        else if (++ended === calls) resolve(Number(process.hrtime.bigint() - begin) / calls);
        else if (started < calls) start();
      });
    };
    const begin = process.hrtime.bigint();
    while (started < inFlight) start();
  });
}
