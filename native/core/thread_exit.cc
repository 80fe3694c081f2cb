#include "thread_exit.h"

#if defined(__linux__) && defined(__x86_64__)

#include <unwind.h>

#include <cstring>

#include "import_table.h"

namespace tenon::core {

namespace {

struct Flight {
  uintptr_t caller;
  ImageSpan host;
  bool begun;
  int32_t status;
};

// What a function keeps for its caller, where the stack was, and where to go on.
struct Landing {
  uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};

// As if the function that was called there had returned.
[[noreturn]] void land(const Landing& landing, int32_t status) {
  __asm__ __volatile__(
      "movq 0(%0), %%rbx\n\t"
      "movq 8(%0), %%rbp\n\t"
      "movq 16(%0), %%r12\n\t"
      "movq 24(%0), %%r13\n\t"
      "movq 32(%0), %%r14\n\t"
      "movq 40(%0), %%r15\n\t"
      "movq 48(%0), %%rsp\n\t"
      "jmpq *56(%0)"
      :
      : "d"(&landing), "a"(static_cast<int64_t>(status))
      : "memory");
  __builtin_unreachable();
}

_Unwind_Reason_Code step(int, _Unwind_Action actions, _Unwind_Exception_Class, _Unwind_Exception*,
                         _Unwind_Context* context, void* given) {
  Flight& flight = *static_cast<Flight*>(given);
  if ((actions & _UA_END_OF_STACK) != 0) return _URC_END_OF_STACK;
  const auto address = static_cast<uintptr_t>(_Unwind_GetIP(context));
  flight.begun = flight.begun || address == flight.caller;
  if (!flight.begun || address < flight.host.low || address >= flight.host.high) return _URC_NO_REASON;
  constexpr int kRbx = 3, kRbp = 6, kR12 = 12, kR13 = 13, kR14 = 14, kR15 = 15;
  const Landing landing = {_Unwind_GetGR(context, kRbx), _Unwind_GetGR(context, kRbp),
                           _Unwind_GetGR(context, kR12), _Unwind_GetGR(context, kR13),
                           _Unwind_GetGR(context, kR14), _Unwind_GetGR(context, kR15),
                           _Unwind_GetCFA(context),      address};
  land(landing, flight.status);
}

}  // namespace

void leave_plugin(const void* caller, int32_t status) {
  // Both outlive these frames: what a plugin catches, or does on the way out, runs over them, and then gives it back.
  static thread_local _Unwind_Exception exception;
  static thread_local Flight flight;
  std::memset(&exception, 0, sizeof exception);
  flight = {reinterpret_cast<uintptr_t>(caller), {}, false, status};
  if (!find_image(reinterpret_cast<const void*>(&step), flight.host)) return;
  _Unwind_ForcedUnwind(&exception, step, &flight);
}

}  // namespace tenon::core

#else

namespace tenon::core {

void leave_plugin(const void*, int32_t) {}

}  // namespace tenon::core

#endif
