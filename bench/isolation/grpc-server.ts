// A gRPC server that gives the same answer to every call; tells its port to the parent, ends when the parent goes.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { service } from './grpc-service.js';

const body = Buffer.from('Hello, World!');
const server = new Server();
server.addService(service, {
  answer: (_call: unknown, callback: (error: null, value: Buffer) => void) => callback(null, body),
});
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.send?.(port);
});
process.on('disconnect', () => process.exit(0));
