#ifndef TENON_NODE_BLACK_BOX_H
#define TENON_NODE_BLACK_BOX_H

#include <napi.h>

namespace tenon::node {

// Give `exports` the functions of BlackBoxDoor of src/binding/black-box.ts.
void DefineBlackBox(Napi::Env env, Napi::Object exports);

}  // namespace tenon::node

#endif
