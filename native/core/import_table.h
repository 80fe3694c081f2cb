#ifndef TENON_CORE_IMPORT_TABLE_H
#define TENON_CORE_IMPORT_TABLE_H

#include <cstddef>
#include <cstdint>

namespace tenon::core {

// Where the segments of one image lie.
struct ImageSpan {
  uintptr_t low = 0;
  uintptr_t high = 0;  // first byte after it
};

// What is to stand in the slot of `name` in place of `present`; null: it stays.
using ChooseImport = void* (*)(const char* name, void* present);

// Where the image is that `inside` lies in; false when there is none. [any]
bool find_image(const void* inside, ImageSpan& span);

/*
 * Point imports of an open image elsewhere: each slot of its import table that holds the address of a function of
 * another image is offered to `choose` by its name. Slots that are read-only by now are made writable for the moment.
 * The image has been checked before it was opened: its tables are where they say. How many slots were changed; none
 * where the system keeps its tables in another form than ELF, and of an image that is not found. [front]
 */
size_t redirect_imports(const void* inside, ChooseImport choose);

}  // namespace tenon::core

#endif
