/* Calls peer_answer of the library argv[1] argv[2] times from C; prints nanoseconds a call. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef int64_t (*answer_fn)(const char*, size_t, char*, size_t);

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return 3;
  volatile answer_fn answer = (answer_fn)(intptr_t)dlsym(library, "peer_answer");
  if (answer == NULL) return 4;
  const long calls = atol(argv[2]);
  char request[64] = "request";
  char response[64];
  int64_t sum = 0;
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (long call = 0; call < calls; call++) sum += answer(request, sizeof request, response, sizeof response);
  clock_gettime(CLOCK_MONOTONIC, &end);
  if (sum != (int64_t)sizeof request * calls) return 5;
  const double elapsed = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
  printf("%f\n", elapsed / (double)calls);
  return 0;
}
