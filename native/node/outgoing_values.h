#ifndef TENON_NODE_OUTGOING_VALUES_H
#define TENON_NODE_OUTGOING_VALUES_H

#include <napi.h>

#include <memory>
#include <vector>

#include "outgoing.h"

namespace tenon::node {

// `OutgoingRequest` of src/binding/core.ts, for each. The bodies are handed over.
Napi::Array RequestList(Napi::Env env, const std::vector<std::unique_ptr<core::OutgoingRequest>>& requests);

// `OutgoingAnswer` of src/binding/core.ts; false for what is none.
bool ReadAnswer(const Napi::Object& object, core::OutgoingAnswer& answer);

}  // namespace tenon::node

#endif
