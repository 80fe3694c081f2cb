#ifndef TENON_CORE_IMAGE_REGISTRY_H
#define TENON_CORE_IMAGE_REGISTRY_H

#include <cstdint>
#include <string_view>

namespace tenon::core {

enum class ImageState : uint32_t { None, Loading, Open, Serving, Closing, Closed, Pinned };

// Index of an image in the registry of the process; kNoImage where there is none.
using ImageIndex = uint32_t;
constexpr ImageIndex kNoImage = UINT32_MAX;

/*
 * The images of plugins in this process: which addresses are whose, now and before. One for the process, in its black
 * box; without one nothing is kept and nothing is found. Written by the front's thread; everything else may be asked by
 * any thread at any time, also in a signal handler: it takes no lock and allocates nothing. The place of an image is
 * taken again only when all others are.
 */
namespace image_registry {

// The library in `path`, a name that no other has, is about to be opened. `proven`: it has served well before. [front]
ImageIndex loading(std::string_view plugin, uint64_t generation, std::string_view sha256, std::string_view path = {},
                   bool proven = false);
// It is open: `inside` is an address in it, from which its segments are found. [front]
void opened(ImageIndex index, const void* inside);
void enter(ImageIndex index, ImageState state);  // [front]

// The image that `address` lies in; one that is there before one that was. [any, signal]
ImageIndex find(uintptr_t address);
// The same, where there is code. [any, signal]
ImageIndex find_code(uintptr_t address);
ImageState state_of(ImageIndex index);         // [any, signal]
std::string_view plugin_of(ImageIndex index);  // [any, signal] a view that stays
uint64_t generation_of(ImageIndex index);      // [any, signal]
uintptr_t base_of(ImageIndex index);           // [any, signal]

// Find the segments of images whose constructors run, which nothing has told yet. In a crash handler, where it matters
// no more that this reads a file. [signal]
void find_loading();

}  // namespace image_registry

}  // namespace tenon::core

#endif
