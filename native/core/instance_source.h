#ifndef TENON_CORE_INSTANCE_SOURCE_H
#define TENON_CORE_INSTANCE_SOURCE_H

#include "tenon/entry.h"

namespace tenon::core {

// Where the instance of a generation comes from: from a library in this process, or from elsewhere.
class InstanceSource {
 public:
  virtual ~InstanceSource() = default;
  // As tenon_plugin_descriptor_t.create. [control]
  virtual tenon_status create(const tenon_host_t& host, tenon_plugin_t*& plugin) = 0;
  // Whether its code runs in another process: waiting for it may take as long as that process likes.
  virtual bool is_isolated() const = 0;
};

class LibrarySource final : public InstanceSource {
 public:
  explicit LibrarySource(const tenon_plugin_descriptor_t& descriptor) : descriptor_(descriptor) {}
  tenon_status create(const tenon_host_t& host, tenon_plugin_t*& plugin) override {
    return descriptor_.create(&host, &plugin);
  }
  bool is_isolated() const override { return false; }

 private:
  const tenon_plugin_descriptor_t& descriptor_;
};

}  // namespace tenon::core

#endif
