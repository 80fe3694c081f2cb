#ifndef TENON_TESTS_ISOLATION_HARNESS_H
#define TENON_TESTS_ISOLATION_HARNESS_H

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "harness.h"
#include "isolated/isolated_plugin.h"

namespace tenon::tests {

// The plugin of images/confined.c, served in processes of its own.
class IsolatedUnderTest {
 public:
  using Change = std::function<void(isolated::IsolationSettings&)>;
  explicit IsolatedUnderTest(const Change& change = {});
  ~IsolatedUnderTest();

  // Have it do `what`, which images/confined.c lists.
  Answer ask(const std::string& what, const std::string& argument = {});
  Answer& send(const std::string& what, const std::string& argument = {});
  // Its process, once it has one that answers.
  std::string pid();
  // The next end of a process, waited for.
  isolated::Ending next_end();
  isolated::ProcessFacts facts();

  FrontUnderTest front;
  core::Plugin& plugin;
  std::shared_ptr<isolated::IsolatedPlugin> source;
  std::shared_ptr<core::Generation> generation;  // null: it did not begin

 private:
  uint32_t slot_ = 0;
  std::mutex mutex_;
  std::vector<isolated::Ending> ends_;
  size_t taken_ = 0;
};

}  // namespace tenon::tests

#endif
