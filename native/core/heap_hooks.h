#ifndef TENON_CORE_HEAP_HOOKS_H
#define TENON_CORE_HEAP_HOOKS_H

#include "image_registry.h"

namespace tenon::core {

// Memory of `image` counts for nobody from here on. [front]
void forget_heap_of(ImageIndex image);

}  // namespace tenon::core

#endif
