#ifndef TENON_FUZZ_ISOLATED_HOST_H
#define TENON_FUZZ_ISOLATED_HOST_H

#include "script.h"
#include "tenon/host.h"

namespace tenon::fuzz {

// A host with all capabilities, which answers as the script of the thread says and reads whatever it is given.
const tenon_host_t& scripted_host();
// Null: it answers with zeros.
void set_script(Script* script);
// How many of what it has opened has not been closed.
long left_open();

}  // namespace tenon::fuzz

#endif
