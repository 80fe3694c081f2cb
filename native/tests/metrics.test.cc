#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "harness.h"
#include "metrics.h"

using namespace tenon;
using namespace tenon::tests;

namespace {

struct Described {
  tenon_metric_t metric = {};
  std::vector<tenon_log_field_t> labels;
  std::vector<double> buckets;
};

Described described(uint32_t kind, std::string_view name, std::vector<tenon_log_field_t> labels = {},
                    std::vector<double> buckets = {}) {
  Described result;
  result.labels = std::move(labels);
  result.buckets = std::move(buckets);
  result.metric = {sizeof(tenon_metric_t), kind,    bytes(name),          bytes("What it is."), nullptr,
                   result.labels.size(),   nullptr, result.buckets.size()};
  return result;
}

tenon_status make(core::Metrics& metrics, core::PluginSeries& plugin, Described what, uint64_t& number) {
  what.metric.labels = what.labels.empty() ? nullptr : what.labels.data();
  what.metric.buckets = what.buckets.empty() ? nullptr : what.buckets.data();
  return metrics.series(plugin, what.metric, number);
}

}  // namespace

TEST_CASE("metrics: the same description gives the same series, whatever the order of its labels") {
  core::Metrics metrics;
  const auto plugin = metrics.of("shop");
  uint64_t one = 0;
  uint64_t other = 0;
  const tenon_log_field_t a = {bytes("a"), bytes("1")};
  const tenon_log_field_t b = {bytes("b"), bytes("2")};
  REQUIRE(make(metrics, *plugin, described(TENON_METRIC_COUNTER, "sold_total", {a, b}), one) == TENON_OK);
  REQUIRE(make(metrics, *plugin, described(TENON_METRIC_COUNTER, "sold_total", {b, a}), other) == TENON_OK);
  CHECK(one == other);
  REQUIRE(make(metrics, *plugin, described(TENON_METRIC_COUNTER, "sold_total", {a}), other) == TENON_OK);
  CHECK(one != other);
  CHECK(metrics.of("shop")->size() == 2);
}

TEST_CASE("metrics: what is no metric is refused") {
  core::Metrics metrics;
  const auto plugin = metrics.of("shop");
  uint64_t number = 0;
  const auto refuse = [&](const Described& what) { return make(metrics, *plugin, what, number); };
  for (const char* name : {"", "1st", "a-b", "tenon_own", "\xff"}) {
    CHECK(refuse(described(TENON_METRIC_GAUGE, name)) == TENON_ERROR_ARGUMENT);
  }
  CHECK(refuse(described(TENON_METRIC_GAUGE, std::string(128, 'a'))) == TENON_ERROR_ARGUMENT);
  CHECK(refuse(described(4, "kind")) == TENON_ERROR_ARGUMENT);
  for (const char* key : {"plugin", "le", "", "a b"}) {
    CHECK(refuse(described(TENON_METRIC_GAUGE, "x", {{bytes(key), bytes("")}})) == TENON_ERROR_ARGUMENT);
  }
  const tenon_log_field_t label = {bytes("a"), bytes("1")};
  CHECK(refuse(described(TENON_METRIC_GAUGE, "x", {label, label})) == TENON_ERROR_ARGUMENT);
  CHECK(refuse(described(TENON_METRIC_GAUGE, "x", std::vector<tenon_log_field_t>(9, label))) == TENON_ERROR_ARGUMENT);
  CHECK(refuse(described(TENON_METRIC_GAUGE, "x", {}, {1})) == TENON_ERROR_ARGUMENT);
  CHECK(refuse(described(TENON_METRIC_HISTOGRAM, "x")) == TENON_ERROR_ARGUMENT);
  for (const std::vector<double>& buckets :
       {std::vector<double>{1, 1}, {2, 1}, {1, HUGE_VAL}, {std::nan("")}, std::vector<double>(33, 1)}) {
    CHECK(refuse(described(TENON_METRIC_HISTOGRAM, "x", {}, buckets)) == TENON_ERROR_ARGUMENT);
  }
  REQUIRE(refuse(described(TENON_METRIC_HISTOGRAM, "took", {}, {1, 2})) == TENON_OK);
  CHECK(refuse(described(TENON_METRIC_HISTOGRAM, "took", {}, {1, 3})) == TENON_ERROR_EXISTS);
  CHECK(refuse(described(TENON_METRIC_GAUGE, "took")) == TENON_ERROR_EXISTS);
  CHECK(refuse(described(TENON_METRIC_GAUGE, "took_sum")) == TENON_ERROR_EXISTS);
  CHECK(refuse(described(TENON_METRIC_COUNTER, "took_total")) == TENON_ERROR_EXISTS);
  for (const char* const name : {"tenon_x", "process_x", "nodejs_x"}) {
    CHECK(refuse(described(TENON_METRIC_GAUGE, name)) == TENON_ERROR_ARGUMENT);
  }
  CHECK(make(metrics, *metrics.of("other"), described(TENON_METRIC_COUNTER, "took"), number) == TENON_ERROR_EXISTS);
  for (int count = 1; count < static_cast<int>(TENON_METRICS_SERIES); count++) {
    REQUIRE(refuse(described(TENON_METRIC_GAUGE, "g" + std::to_string(count))) == TENON_OK);
  }
  CHECK(refuse(described(TENON_METRIC_GAUGE, "one_more")) == TENON_ERROR_TOO_LARGE);
  metrics.forget("shop");
  CHECK(refuse(described(TENON_METRIC_GAUGE, "late")) == TENON_ERROR_STATE);
  CHECK(make(metrics, *metrics.of("shop"), described(TENON_METRIC_COUNTER, "took"), number) == TENON_OK);
}

TEST_CASE("metrics: threads that add at once lose nothing") {
  core::Series counter(TENON_METRIC_COUNTER, "c", {}, {});
  core::Series histogram(TENON_METRIC_HISTOGRAM, "h", {}, {1, 2});
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; thread++) {
    threads.emplace_back([&] {
      for (int count = 0; count < 10000; count++) {
        counter.add(0.5);
        histogram.add(count % 3 + 0.5);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  counter.add(-1);
  counter.add(std::nan(""));
  counter.set(7);
  CHECK(counter.value() == 20000);
  CHECK(histogram.counts() == std::vector<uint64_t>{13336, 26668, 40000});
}

TEST_CASE("metrics: the text is what Prometheus reads") {
  core::Metrics metrics;
  const auto shop = metrics.of("shop");
  const auto bar = metrics.of("bar");
  uint64_t number = 0;
  make(metrics, *shop, described(TENON_METRIC_COUNTER, "sold_total", {{bytes("what"), bytes("a\"b\\c\nd")}}), number);
  shop->at(number)->add(1.5);
  make(metrics, *bar, described(TENON_METRIC_COUNTER, "sold_total"), number);
  bar->at(number)->add(2);
  make(metrics, *bar, described(TENON_METRIC_HISTOGRAM, "took", {}, {0.1, 1}), number);
  bar->at(number)->add(0.1);
  bar->at(number)->add(5);
  CHECK(bar->at(0) == nullptr);
  CHECK(bar->at(3) == nullptr);
  CHECK(metrics.text(core::Exposition::Prometheus) ==
        "# HELP sold_total What it is.\n# TYPE sold_total counter\n"
        "sold_total{plugin=\"bar\"} 2\n"
        "sold_total{plugin=\"shop\",what=\"a\\\"b\\\\c\\nd\"} 1.5\n"
        "# HELP took What it is.\n# TYPE took histogram\n"
        "took_bucket{plugin=\"bar\",le=\"0.1\"} 1\n"
        "took_bucket{plugin=\"bar\",le=\"1\"} 1\n"
        "took_bucket{plugin=\"bar\",le=\"+Inf\"} 2\n"
        "took_sum{plugin=\"bar\"} 5.1\n"
        "took_count{plugin=\"bar\"} 2\n");
  CHECK(metrics.text(core::Exposition::OpenMetrics) ==
        "# HELP sold What it is.\n# TYPE sold counter\n"
        "sold_total{plugin=\"bar\"} 2\n"
        "sold_total{plugin=\"shop\",what=\"a\\\"b\\\\c\\nd\"} 1.5\n"
        "# HELP took What it is.\n# TYPE took histogram\n"
        "took_bucket{plugin=\"bar\",le=\"0.1\"} 1\n"
        "took_bucket{plugin=\"bar\",le=\"1.0\"} 1\n"
        "took_bucket{plugin=\"bar\",le=\"+Inf\"} 2\n"
        "took_sum{plugin=\"bar\"} 5.1\n"
        "took_count{plugin=\"bar\"} 2\n");
  std::vector<std::string> seen;
  metrics.collect(
      [](void* context, const tenon_metric_value_t* value) {
        static_cast<std::vector<std::string>*>(context)->push_back(std::string(core::view(value->plugin)) + " " +
                                                                   std::string(core::view(value->metric.name)) + " " +
                                                                   std::to_string(value->count));
      },
      &seen);
  CHECK(seen == std::vector<std::string>{"bar sold_total 0", "bar took 2", "shop sold_total 0"});
}

TEST_CASE("metrics: a name is free in both formats, or it is taken") {
  core::Metrics metrics;
  const auto plugin = metrics.of("shop");
  uint64_t number = 0;
  const auto give = [&](uint32_t kind, const char* name) {
    return make(metrics, *plugin, described(kind, name), number);
  };
  REQUIRE(give(TENON_METRIC_COUNTER, "sold") == TENON_OK);
  CHECK(give(TENON_METRIC_COUNTER, "sold_total") == TENON_ERROR_EXISTS);
  CHECK(give(TENON_METRIC_GAUGE, "sold_created") == TENON_ERROR_EXISTS);
  CHECK(give(TENON_METRIC_GAUGE, "sold_out") == TENON_OK);
  REQUIRE(give(TENON_METRIC_COUNTER, "read_bytes_total") == TENON_OK);
  CHECK(give(TENON_METRIC_GAUGE, "read_bytes") == TENON_ERROR_EXISTS);
  plugin->at(1)->add(3);
  const std::string text = metrics.text(core::Exposition::OpenMetrics);
  CHECK(text.find("# TYPE sold counter\nsold_total{plugin=\"shop\"} 3\n") != std::string::npos);
  CHECK(text.find("# TYPE read_bytes counter\n# UNIT read_bytes bytes\nread_bytes_total{") != std::string::npos);
  metrics.forget("shop");
  CHECK(make(metrics, *metrics.of("shop"), described(TENON_METRIC_GAUGE, "read_bytes"), number) == TENON_OK);
}
