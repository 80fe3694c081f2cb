#ifndef TENON_FUZZ_GRAMMAR_H
#define TENON_FUZZ_GRAMMAR_H

#include <cstdint>
#include <string>

#include "script.h"

namespace tenon::fuzz {

// What wire/protocol.h says a message of this code is made of, filled by the script: an answer for a code of what the
// host asks, a question for one of what a runner does. An empty script makes the shortest. What random values would
// never come to in the right order, and is checked only at its end.
std::string well_formed(Script& script, uint16_t code);

// The code of a question, which mostly is one that there is.
uint16_t question(Script& script);

// Mostly what is well formed; else that with damage, values in any order, or any bytes.
std::string payload(Script& script, uint16_t code);

}  // namespace tenon::fuzz

#endif
