// The extension that keeps what happens in tables.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "policy.hpp"

struct TelemetryExtension : tenon::Extension {
  tenon::Result initialize() override;
  tenon::Result ready(const tenon::Context& context) override;
  void on_event(const tenon::Events& batch) override;
  tenon::ConfigResult config_changed(std::string_view application, std::string_view settings) override;

  /* Why `request` may not read what is kept, as an answer; nothing when it may. */
  std::optional<tenon::Response> refusal(const tenon::Request& request) const;
  /* Events that came too fast, since this generation began. */
  uint64_t dropped() const { return dropped_; }

 private:
  tenon::Result read_own(const std::string& custom);
  Policy policy_of(std::string_view application);
  tenon::Result set_policy(std::string_view application, std::string_view settings);

  bool add(const tenon::Event& event, tenon::Batch& writes);
  bool add_log(const tenon::Event& event, const Policy& policy, tenon::Batch& writes);
  bool add_request(const tenon::Event& event, const Policy& policy, tenon::Batch& writes);
  bool add_span(const tenon::Event& event, const Policy& policy, tenon::Batch& writes);
  bool chosen(double share);
  void collect();
  void commit(tenon::Batch& writes, size_t count);

  /* From `custom`; not changed after initialize(). */
  Policy everybody_;
  int64_t keep_ms_ = 0;
  int64_t metrics_ms_ = 0;
  std::vector<std::string> readers_;

  std::mutex mutex_;
  std::map<std::string, Policy, std::less<>> policies_; /* of applications with settings; under the mutex */

  tenon::Table logs_;
  tenon::Table requests_;
  tenon::Table spans_;
  tenon::Table metrics_;
  std::minstd_rand random_; /* on_event's */
  std::atomic<uint64_t> dropped_{0};
  std::atomic<bool> failing_{false};
  tenon::metrics::Counter kept_total_{"telemetry_records_kept_total", "Records that were written to tables."};
  tenon::metrics::Counter lost_total_{"telemetry_records_lost_total", "Records that a table did not take."};
  tenon::metrics::Counter dropped_total_{"telemetry_events_dropped_total",
                                         "Events that came faster than they were kept."};
};
