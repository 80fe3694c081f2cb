#ifndef TENON_CORE_SIGNAL_NAME_H
#define TENON_CORE_SIGNAL_NAME_H

#include <string>

namespace tenon::core {

// "SIGTERM"; "signal 42" of one that has no name here.
std::string name_of_signal(int signal);

}  // namespace tenon::core

#endif
