#ifndef TENON_CORE_PLUGIN_GAUGES_H
#define TENON_CORE_PLUGIN_GAUGES_H

#include <cstdint>
#include <vector>

#include "image_registry.h"
#include "import_table.h"

namespace tenon::core {

/*
 * What an image has of the process's resources, as far as its own code has asked for it: what libraries do for it is
 * not seen, nor is what its constructors have done. `memory` is an estimate from samples; a std::string of C++17 is
 * not in it, for libstdc++ has its code, and allocates for it.
 */
struct PluginGauge {
  ImageIndex image;
  uint32_t threads;
  uint32_t descriptors;
  uint64_t memory;  // bytes
};

// Of every image that is open. [front]
std::vector<PluginGauge> plugin_gauges();

// The counting, for the hooks. An image that is not open counts for nobody.
namespace gauges {

constexpr ImageIndex kMostImages = 1024;

void begin(ImageIndex image, const ImageSpan& span);  // [front]
void end(ImageIndex image);                           // [front]
bool is_open(ImageIndex image);                       // [any]
bool holds(ImageIndex image, uintptr_t address);      // [any, signal]

void add_threads(ImageIndex image, int32_t count);      // [any]
void add_descriptors(ImageIndex image, int32_t count);  // [any]
void add_memory(ImageIndex image, int64_t bytes);       // [any]
PluginGauge of(ImageIndex image);                       // [any]

}  // namespace gauges

}  // namespace tenon::core

#endif
