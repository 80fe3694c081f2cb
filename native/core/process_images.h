#ifndef TENON_CORE_PROCESS_IMAGES_H
#define TENON_CORE_PROCESS_IMAGES_H

#include <cstdint>
#include <string_view>

namespace tenon::core {

// Where an image is mapped, and where in it is code; zeros: not known.
struct ImageRange {
  uintptr_t low = 0;
  uintptr_t high = 0;
  uintptr_t code_low = 0;
  uintptr_t code_high = 0;
};

// Of the image that `inside` lies in. [any]
ImageRange range_around(const void* inside);

// Of the image that is mapped from a file of this name (without its folder), by /proc/self/maps: it takes no lock and
// allocates nothing. Linux; elsewhere it is not known. [signal]
ImageRange range_of_file(std::string_view name);

// Write the files of all images of this process that are no plugin's into its black box. [front]
void list_process_images();

}  // namespace tenon::core

#endif
