// `tenon-runner trial`: tries libraries in throw-away processes, so that what they break is not the host.
//
// A small idle process. It reads requests from standard input and writes answers to standard output, one line each,
// fields apart by one space; trials run side by side and are answered in the order they end.
//
//   request  try ID DEADLINE_MS MEMORY_BYTES CPU_SECONDS PLUGIN PATH [CONFINED]
//   answer   ID OUTCOME STAGE CODE MESSAGE OUTPUT
//
// ID is a number of the asker's. MEMORY_BYTES and CPU_SECONDS are limits of the child, 0 for none; DEADLINE_MS (1 to
// 3,600,000) begins when the child has its request. PLUGIN is the id that the library must have. PATH, MESSAGE and
// OUTPUT are hexadecimal, "-" when empty; OUTPUT is the end (at most 4 KiB) of what the library wrote to its standard
// output and error. CONFINED is there for a plugin that is to run in a process of its own: the child is held to what
// that may, before the library is opened. It is SANDBOX (0: none, 1: what the kernel has, 2: all of it, or no trial),
// CHILD_PROCESSES, how many paths are hidden from it, and, hexadecimal, these paths, the folder for temporary files and
// further paths that it may write to, apart by commas.
//
//   OUTCOME      CODE              MESSAGE
//   passed       -                 its routes, METHOD PATTERN on a line each, +N for those that do not fit
//   openFailed   -                 the dynamic loader's
//   mismatch     abi or id         what the descriptor says that the note did not
//   unconfined   -                 what the kernel lacks, with a SANDBOX of 2
//   refused      a tenon_status    the last that the plugin logged, or what it broke
//   crashed      signal, SIGSEGV   where in the library, as far as it is known: `pc OFFSET`, or `call OFFSET` for what
//                                  returns there; hexadecimal, from the beginning of its mapping
//   exited       exit status       -
//   timeout      deadline or cpu   -
//   unavailable  -                 why no child could be forked
//
// STAGE is where it ended: start (before the library is touched), open (its constructors), entry, create, initialize,
// routes (they are read and checked), health, destroy. A library that asks for TENON_TRIAL_OPEN is tried up to entry.
//
// One child waits in advance for the next request. It is forked while nothing is tried, so it has no descriptor, nonce
// or mapping of another trial, and is used once; without it, or when it has died, a request forks its own.
//
// The verdict of a child comes through a channel of its own together with a nonce: what a library prints, and a clean
// exit, count for nothing. A child leads a session of its own, which is killed with it; on Linux, descendants that
// leave the session are found and killed as well, because this process is their reaper, no child gains privileges, and
// all children die with this process. macOS has none of the three, nor a limit on memory that holds.
//
// A line that is not a request ends the process with status 2. When standard input ends, all children are killed and
// the process ends with status 0.
#ifndef TENON_RUNNER_TRIAL_H
#define TENON_RUNNER_TRIAL_H

namespace tenon::runner {

// The process; its exit status.
int run_trials();

}  // namespace tenon::runner

#endif
