#ifndef TENON_CORE_DESCRIPTOR_GUARD_H
#define TENON_CORE_DESCRIPTOR_GUARD_H

#include <cstdint>
#include <string>

#include "image_registry.h"

namespace tenon::core {

// No plugin closes a descriptor that is open now. Once, before the first is opened.
void guard_present_descriptors();
// The same again, of all that no plugin has opened: what the host has opened since, and what a plugin has got of code
// that is not watched. [any]
void guard_open_descriptors();
// Nor this one, until the host has closed it: another file under its number is not the host's. [any]
void protect_descriptor(int descriptor);
// The host is about to close it itself. [any]
void release_descriptor(int descriptor);

// Those that `image` has opened and not closed count for nobody from here on; the first of them, for people. [front]
std::string forget_descriptors_of(ImageIndex image);

// What the hooks tell of the descriptors of plugins. [any]
namespace descriptors {

void opened(int descriptor, ImageIndex image);

// One that is about to be closed counts as closed from here on: as soon as it is, the number may be somebody else's.
struct Closing {
  bool is_allowed;  // if not, this has been told
  uint64_t before;
};
// `image` closes it by `call`.
Closing begin_close(int descriptor, ImageIndex image, const char* call);
// The system has refused: it is as it was.
void not_closed(int descriptor, ImageIndex image, const Closing& closing);

// Whether `image` may close all from `first` to `last`: only if each that is open there is a plugin's; if not, this has
// been told.
bool may_close_range(unsigned first, unsigned last, ImageIndex image, const char* call);
void closed_range(unsigned first, unsigned last, ImageIndex image);

}  // namespace descriptors

}  // namespace tenon::core

#endif
