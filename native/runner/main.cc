#include <cstdio>
#include <cstring>

#include "serve.h"
#include "trial.h"

int main(int count, char** words) {
  if (count == 2 && std::strcmp(words[1], "trial") == 0) return tenon::runner::run_trials();
  if (count == 3 && std::strcmp(words[1], "serve") == 0) return tenon::runner::serve();
  std::fputs(
      "usage: tenon-runner trial\n"
      "       tenon-runner serve ID\n"
      "Tries plugin libraries in throw-away processes: requests on standard input, answers on standard output.\n"
      "Or serves one library to the host that started it, see native/wire/protocol.h.\n"
      "The host starts it; the protocol of trials is described in native/runner/trial.h.\n",
      stderr);
  return 2;
}
