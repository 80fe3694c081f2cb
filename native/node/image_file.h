// InspectImage for JavaScript: see Core.inspectImage in src/binding/core.ts.
#pragma once

#include <napi.h>

namespace tenon::node {

// (bytes: Uint8Array, machines?: "own" | "any") => ImageFacts; throws an Error with a `code`, or a TypeError.
Napi::Value InspectImage(const Napi::CallbackInfo& info);

}  // namespace tenon::node
