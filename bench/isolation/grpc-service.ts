import type { ServiceDefinition } from '@grpc/grpc-js';

const same = (bytes: Buffer): Buffer => bytes;

/** One method that takes and gives bytes as they are: what remains is what gRPC itself costs. */
export const service = {
  answer: {
    path: '/bench.Answer/answer',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
} satisfies ServiceDefinition;
