#include "permissions.h"

#include <algorithm>
#include <utility>

#include "byte_buffer.h"
#include "front.h"
#include "host_face.h"
#include "plugin.h"
#include "tenon/ext/log.h"

namespace tenon::core {

namespace {

constexpr std::array<std::string_view, kPermits> kNames = {"tables:read",      "tables:write",     "http:client",
                                                           "events:publish",   "events:subscribe", "hooks:call",
                                                           "auth:credentials", "write:config"};

constexpr size_t kShownBytes = 320;

// The last refusal of this thread, whoever's it was.
struct LastDenial {
  uint64_t serial = 0;
  uint64_t number = 0;
  std::string line;
  std::string sentence;
};
thread_local LastDenial last_denial;

std::atomic<uint64_t> serials{0};

size_t index_of(Permit permit) { return static_cast<size_t>(permit); }

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool begins_with(std::string_view text, std::string_view begin) { return text.substr(0, begin.size()) == begin; }

std::pair<std::string_view, std::string_view> split_port(std::string_view host) {
  const size_t bracket = host.find(']');
  const size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon == std::string_view::npos) return {host, {}};
  return {host.substr(0, colon), host.substr(colon + 1)};
}

bool covers_host(std::string_view granted, std::string_view wanted) {
  if (granted == "*") return true;
  const auto [host, port] = split_port(granted);
  const auto [wanted_host, wanted_port] = split_port(wanted);
  if (port.empty() ? wanted_port != "80" && wanted_port != "443" : wanted_port != port) return false;
  return host == wanted_host || (begins_with(host, "*.") && ends_with(wanted_host, host.substr(1)));
}

bool covers_which(Permit permit, std::string_view granted, std::string_view wanted) {
  switch (permit) {
    case Permit::HttpClient:
      return covers_host(granted, wanted);
    case Permit::TablesRead:
    case Permit::TablesWrite:
      return granted == wanted ||
             (ends_with(granted, ".*") && begins_with(wanted, granted.substr(0, granted.size() - 1)));
    default:
      return granted == wanted ||
             (ends_with(granted, "*") && begins_with(wanted, granted.substr(0, granted.size() - 1)));
  }
}

template <typename Whiches>
bool covers_any(const Whiches& whiches, Permit permit, std::string_view wanted) {
  const auto covers = [&](const std::string& granted) { return covers_which(permit, granted, wanted); };
  const auto& own = whiches[index_of(permit)];
  if (std::any_of(own.begin(), own.end(), covers)) return true;
  const auto& writable = whiches[index_of(Permit::TablesWrite)];
  return permit == Permit::TablesRead && std::any_of(writable.begin(), writable.end(), covers);
}

template <typename Whiches>
void sort_into(Whiches& whiches, const std::vector<std::string>& lines) {
  for (const std::string_view line : lines) {
    for (size_t index = 0; index < kPermits; index++) {
      const std::string_view name = kNames[index];
      if (line == name) whiches[index].emplace_back();
      if (line.size() > name.size() + 1 && begins_with(line, name) && line[name.size()] == ':')
        whiches[index].emplace_back(line.substr(name.size() + 1));
    }
  }
}

}  // namespace

std::string_view permission_name(Permit permit) { return kNames[index_of(permit)]; }

Permissions::Permissions(Plugin& plugin, uint64_t generation)
    : plugin_(plugin), generation_(generation), serial_(serials.fetch_add(1, std::memory_order_relaxed) + 1) {}

Permissions::~Permissions() = default;

void Permissions::set(std::optional<PermissionLines> lines) {
  std::unique_ptr<Table> table;
  if (lines) {
    table = std::make_unique<Table>();
    sort_into(table->granted, lines->granted);
    sort_into(table->asked, lines->asked);
    table->by_manifest = lines->by_manifest;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  table_.store(table.get(), std::memory_order_seq_cst);
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  tables_.push_back(std::move(table));
  // Whoever looks at one that was replaced keeps all of them until the next change.
  if (inside_.load(std::memory_order_seq_cst) == 0) tables_.erase(tables_.begin(), tables_.end() - 1);
}

template <typename Ask>
bool Permissions::ask(Ask question) const {
  inside_.fetch_add(1, std::memory_order_seq_cst);
  const Table* const table = table_.load(std::memory_order_seq_cst);
  const bool answer = question(table);
  inside_.fetch_sub(1, std::memory_order_seq_cst);
  return answer;
}

bool Permissions::covers(Permit permit, std::string_view which) const {
  return ask([&](const Table* table) { return table == nullptr || covers_any(table->granted, permit, which); });
}

Permissions::Denial Permissions::denial_of(Permit permit, std::string_view which) const {
  std::string_view shown = which;
  if (permit == Permit::HttpClient) {
    const auto [host, port] = split_port(which);
    if (port == "80" || port == "443") shown = host;
  }
  Denial denial;
  denial.line = std::string(permission_name(permit));
  if (!shown.empty()) denial.line.append(":").append(shown.substr(0, kShownBytes));
  // It is the plugin that has named it, and people read it.
  std::replace_if(
      denial.line.begin(), denial.line.end(), [](char one) { return one <= ' ' || one > '~'; }, '?');
  bool by_manifest = false;
  const bool asked = ask([&](const Table* table) {
    by_manifest = table != nullptr && table->by_manifest;
    return table != nullptr && covers_any(table->asked, permit, which);
  });
  const std::string& id = plugin_.id();
  denial.sentence = id + " was not granted \"" + denial.line + "\"";
  if (by_manifest && asked) {
    denial.sentence += ": `tenon permissions " + id + " --grant " + denial.line + "` grants it";
  } else if (by_manifest) {
    denial.sentence += ", and its manifest.json does not ask for it";
  } else {
    denial.sentence += ": its config.yaml does not name it under `permissions`";
  }
  return denial;
}

void Permissions::deny(Permit permit, std::string_view which) {
  plugin_.denied[index_of(permit)].fetch_add(1, std::memory_order_relaxed);
  Denial denial = denial_of(permit, which);
  bool is_new = false;
  uint64_t number = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    number = denials_.fetch_add(1, std::memory_order_relaxed) + 1;
    last_ = denial;
    last_number_ = number;
    if (logged_.size() < kRemembered) {
      is_new = logged_.insert(denial.line).second;
    } else if (logged_.find(denial.line) == logged_.end() && !std::exchange(silenced_, true)) {
      is_new = true;
      denial.sentence += "; what else it is refused is counted, and not told any more";
    }
  }
  if (is_new) write_log(denial);
  last_denial = {serial_, number, std::move(denial.line), std::move(denial.sentence)};
}

void Permissions::write_log(const Denial& denial) const {
  constexpr std::string_view kCode = "PermissionDenied";
  const std::array<tenon_log_field_t, 2> fields = {
      {{bytes("code"), bytes(kCode)}, {bytes("permission"), bytes(denial.line)}}};
  core::write_log(plugin_, generation_, TENON_LOG_WARN, bytes(denial.sentence), fields.data(), fields.size());
}

std::optional<Permissions::Denial> Permissions::denied(uint64_t since, bool anywhere) const {
  if (last_denial.serial == serial_ && last_denial.number > since)
    return Denial{last_denial.line, last_denial.sentence};
  if (!anywhere) return std::nullopt;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (last_number_ <= since) return std::nullopt;
  return last_;
}

std::string host_and_port(std::string_view url) {
  const size_t begin = url.find("://") + 3;
  const bool secure = url[4] == 's' || url[4] == 'S';
  const std::string_view authority = url.substr(begin, url.find_first_of("/?#\\", begin) - begin);
  auto [host, port] = split_port(authority);
  while (port.size() > 1 && port.front() == '0') port.remove_prefix(1);
  if (port.size() > 5 || !std::all_of(port.begin(), port.end(), [](char one) { return one >= '0' && one <= '9'; }))
    return {};
  std::string result(host);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char one) { return one >= 'A' && one <= 'Z' ? static_cast<char>(one | 0x20) : one; });
  result.append(":").append(port.empty() ? (secure ? "443" : "80") : port);
  return result;
}

}  // namespace tenon::core
