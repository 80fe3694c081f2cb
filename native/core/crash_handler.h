#ifndef TENON_CORE_CRASH_HANDLER_H
#define TENON_CORE_CRASH_HANDLER_H

#include <signal.h>

#include "black_box.h"
#include "image_registry.h"

namespace tenon::core {

/*
 * Writes into the black box how this process ends by its own fault. The first thread that faults reports, the others
 * wait for the end; the handler allocates nothing, takes no lock of its own and keeps how far it came, so that a fault
 * of its own leaves what there was. Afterwards the process ends by the signal, as if nobody had caught it. A thread
 * without an alternate stack that has used up its own is not reported: nothing of ours can run on it.
 */
struct CrashHandlerOptions {
  // Written with the whole box at a fault, by a descriptor of the handler's own; -1: nobody needs that.
  int report_file = -1;
  // Of an owner of SIGSEGV who hands over what is not his (WebAssembly in Node); null: there is none.
  void (*chain)(int signal, void (*handler)(int, siginfo_t*, void*), bool reset) = nullptr;
};

// For the process, which has a box. Of what comes later a report file takes the place of the one before, and nothing
// else changes anything.
void install_crash_handler(const CrashHandlerOptions& options);

// Threads that a signal is sent to.
enum class SentTo : uint8_t { ThisThread, AThread, Process };

// This process is about to end by a call of `image` (kNoImage: not known) on this thread: `kind` says which. Of Exit,
// ExitNow, QuickExit and a Kill by a signal that nobody catches this is the report, with `status`; of Abort and a Kill
// by one that is caught here (`status`: the signal) it says who has raised the signal that follows. [any]
void report_end(FaultKind kind, ImageIndex image, int status, SentTo target = SentTo::ThisThread);
// The call has come back: what this thread has reported as an end was none, but for a signal that it has `sent` to
// another one. [any]
void take_end_back(bool sent);

}  // namespace tenon::core

#endif
