#ifndef TENON_CORE_INSTANCE_SOURCE_H
#define TENON_CORE_INSTANCE_SOURCE_H

#include "tenon/entry.h"

namespace tenon::core {

class Call;

// Where the instance of a generation comes from: from a library in this process, or from elsewhere.
class InstanceSource {
 public:
  virtual ~InstanceSource() = default;
  // As tenon_plugin_descriptor_t.create. [control]
  virtual tenon_status create(const tenon_host_t& host, tenon_plugin_t*& plugin) = 0;
  // Whether its code runs in another process: waiting for it may take as long as that process likes.
  virtual bool is_isolated() const = 0;

  enum class Start {
    Refused,  // a thread of the pool is to run its handler
    Begun,    // `end_begun`, or `go_on_begun`, is called for it once, by any thread or by [front]
    Over      // its handler has returned `status`
  };
  // Begin the handler of `call` without a thread of the host that waits for it. `may_wait`: for some microseconds it
  // may be waited for. Under its lease, its deadline is armed. [front]
  virtual Start begin(Call& call, bool may_wait, tenon_status& status) {
    static_cast<void>(call), static_cast<void>(may_wait), static_cast<void>(status);
    return Start::Refused;
  }
  // So many calls more than may run at once may be begun.
  virtual uint32_t ahead() const { return 0; }
  // Go on with what `go_on_begun` was called for; what its handler returned. [pool]
  virtual tenon_status go_on(Call& call) { return static_cast<void>(call), TENON_ERROR; }
  // `go_on` cannot be called for it: there is no thread. [any]
  virtual void give_up(Call& call) { static_cast<void>(call); }
  // The deadline of a call has passed. [watchdog]
  virtual void be_late() {}
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
