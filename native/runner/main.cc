#include <cstdio>
#include <cstring>

#include "trial.h"

int main(int count, char** words) {
  if (count == 2 && std::strcmp(words[1], "trial") == 0) return tenon::runner::run_trials();
  std::fputs(
      "usage: tenon-runner trial\n"
      "Tries plugin libraries in throw-away processes: requests on standard input, answers on standard output.\n"
      "The host starts it; the protocol is described in native/runner/trial.h.\n",
      stderr);
  return 2;
}
