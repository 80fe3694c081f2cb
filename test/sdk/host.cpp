// A host of one request at a time: opens the library argv[1], runs its life, and prints what happens as lines. Further
// arguments are steps: "GET /pattern /path?query [body]" calls that route, the others are named below.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/log.h>
#include <tenon/ext/state.h>

struct tenon_request {
  tenon_http_method method;
  std::string path, query, body, pattern, tag;
};

struct tenon_response {
  int status = 200;
  std::string headers, body, given, failure;
  bool cancelled = false;
};

namespace {

std::string text(tenon_bytes_t bytes) { return std::string(bytes.data == nullptr ? "" : bytes.data, bytes.size); }
tenon_bytes_t bytes(const std::string& text) { return {text.data(), text.size()}; }
const std::string request_id = "request-1";
const std::string host_header = "localhost";
std::map<std::string, std::string> kept;

tenon_host_http_t make_http() {
  tenon_host_http_t http{};
  http.size = sizeof http;
  http.method = [](const tenon_request_t* request) { return request->method; };
  http.path = [](const tenon_request_t* request) { return bytes(request->path); };
  http.query = [](const tenon_request_t* request) { return bytes(request->query); };
  http.query_value = [](tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
    const std::string start = text(name) + "=";
    if (request->query.compare(0, start.size(), start) != 0) return false;
    request->tag = request->query.substr(start.size());
    *value = bytes(request->tag);
    return true;
  };
  http.param = [](tenon_request_t* request, tenon_bytes_t name, tenon_bytes_t* value) {
    if (request->pattern.find(":" + text(name)) == std::string::npos) return false;
    request->tag = request->path.substr(request->path.rfind('/') + 1);
    *value = bytes(request->tag);
    return true;
  };
  http.header = [](const tenon_request_t*, tenon_bytes_t name, tenon_bytes_t* value) {
    if (text(name) != "host") return false;
    *value = bytes(host_header);
    return true;
  };
  http.header_count = [](const tenon_request_t*) -> uint32_t { return 1; };
  http.header_at = [](const tenon_request_t*, uint32_t, tenon_bytes_t* name, tenon_bytes_t* value) {
    *name = {"host", 4};
    *value = bytes(host_header);
    return true;
  };
  http.body = [](const tenon_request_t* request) { return bytes(request->body); };
  http.request_id = [](tenon_request_t*) { return bytes(request_id); };
  http.time_left_ms = [](const tenon_request_t*) -> uint32_t { return 250; };
  http.cancelled = [](const tenon_request_t*) { return false; };
  http.set_status = [](tenon_response_t* response, int32_t status) -> tenon_status {
    if (status < 200 || status > 599) return TENON_ERROR_ARGUMENT;
    response->status = status;
    return TENON_OK;
  };
  http.set_header = [](tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value) -> tenon_status {
    if (text(name).find(' ') != std::string::npos) return TENON_ERROR_ARGUMENT;
    response->headers += " " + text(name) + "=" + text(value);
    return TENON_OK;
  };
  http.add_header = [](tenon_response_t* response, tenon_bytes_t name, tenon_bytes_t value) -> tenon_status {
    response->headers += " " + text(name) + "+" + text(value);
    return TENON_OK;
  };
  http.set_body = [](tenon_response_t* response, tenon_bytes_t body) -> tenon_status {
    response->given = "copied";
    response->body = text(body);
    return TENON_OK;
  };
  http.give_body = [](tenon_response_t* response, const void* data, size_t size, tenon_free_fn free_body,
                      void* context) -> tenon_status {
    response->given = free_body == nullptr ? "constant" : "owned";
    response->body.assign(static_cast<const char*>(data), size);
    if (free_body != nullptr) free_body(const_cast<void*>(data), size, context);
    return TENON_OK;
  };
  http.fail = [](tenon_response_t* response, tenon_bytes_t message) { response->failure = text(message); };
  http.write = [](tenon_response_t* response, tenon_bytes_t chunk) -> tenon_status {
    if (response->cancelled) return TENON_ERROR_CANCELLED;
    response->given = "streamed";
    response->body += text(chunk);
    return TENON_OK;
  };
  return http;
}

tenon_host_log_t make_log() {
  tenon_host_log_t log{};
  log.size = sizeof log;
  log.write = [](const tenon_host*, int32_t level, tenon_bytes_t message, const tenon_log_field_t* fields,
                 size_t count) {
    std::printf("log %d %s", level, text(message).c_str());
    for (size_t at = 0; at < count; ++at)
      std::printf(" %s=%s", text(fields[at].key).c_str(), text(fields[at].value).c_str());
    std::printf("\n");
  };
  log.enabled = [](const tenon_host*, int32_t) { return true; };
  return log;
}

tenon_host_state_t make_state() {
  tenon_host_state_t state{};
  state.size = sizeof state;
  state.put = [](const tenon_host*, tenon_bytes_t key, tenon_bytes_t value) -> tenon_status {
    kept[text(key)] = text(value);
    return TENON_OK;
  };
  state.get = [](const tenon_host*, tenon_bytes_t key, void* buffer, size_t capacity, size_t* size) -> tenon_status {
    const auto found = kept.find(text(key));
    if (found == kept.end()) return TENON_ERROR_NOT_FOUND;
    *size = found->second.size();
    if (*size > capacity) return TENON_ERROR_TOO_LARGE;
    std::memcpy(buffer, found->second.data(), *size);
    return TENON_OK;
  };
  state.remove = [](const tenon_host*, tenon_bytes_t key) -> tenon_status {
    return kept.erase(text(key)) == 0 ? TENON_ERROR_NOT_FOUND : TENON_OK;
  };
  return state;
}

const tenon_host_http_t http = make_http();
const tenon_host_log_t host_log = make_log();
const tenon_host_state_t state = make_state();
const char* const methods[] = {"", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

int step(tenon_plugin_t* plugin, const tenon_plugin_http_t* offered, const std::string& line) {
  if (line == "routes") {
    for (uint32_t at = 0; at < offered->route_count(plugin); ++at) {
      const tenon_route_t* route = offered->route(plugin, at);
      std::printf("route %s %s %u %u %llu\n", methods[route->method], text(route->pattern).c_str(), route->execution,
                  route->deadline_ms, static_cast<unsigned long long>(route->body_limit));
    }
    return 0;
  }
  if (line == "health") return std::printf("health %d\n", plugin->health(plugin)), 0;
  if (line == "save" || line.compare(0, 4, "load") == 0) {
    const auto* handed = static_cast<const tenon_plugin_state_t*>(plugin->get_extension(plugin, TENON_STATE_ID));
    if (line == "save") {
      std::string saved;
      const tenon_state_writer_t writer{
          sizeof writer, &saved,
          [](const tenon_state_writer_t* to, tenon_bytes_t part) -> tenon_status {
            static_cast<std::string*>(to->data)->append(text(part));
            return TENON_OK;
          },
          [](const tenon_state_writer_t*, tenon_bytes_t message) { std::printf("fail %s\n", text(message).c_str()); }};
      const tenon_status status = handed->save(plugin, &writer);
      std::printf("save %d %u %s\n", status, handed->version, saved.c_str());
      return 0;
    }
    const std::string body = line.substr(line.rfind(' ') + 1);  // "load 3 dry bytes" or "load 3 real bytes"
    const tenon_state_reader_t reader{
        sizeof reader,
        line.compare(7, 4, "dry ") == 0,
        static_cast<uint32_t>(std::atoi(line.c_str() + 5)),
        bytes(body),
        nullptr,
        [](const tenon_state_reader_t*, tenon_bytes_t message) { std::printf("fail %s\n", text(message).c_str()); }};
    const tenon_status status = handed->load(plugin, &reader);
    std::printf("load %d\n", status);
    return 0;
  }
  std::vector<std::string> words;
  for (size_t at = 0; at <= line.size() && words.size() < 3;) {
    size_t end = line.find(' ', at);
    if (end == std::string::npos) end = line.size();
    words.push_back(line.substr(at, end - at));
    at = end + 1;
    if (words.size() == 3 && at < line.size()) words.push_back(line.substr(at));
  }
  if (words.size() < 3) return 2;
  for (uint32_t index = 0; index < offered->route_count(plugin); ++index) {
    const tenon_route_t* route = offered->route(plugin, index);
    if (words[0] != methods[route->method] || words[1] != text(route->pattern)) continue;
    const size_t mark = words[2].find('?');
    tenon_request request{route->method,
                          words[2].substr(0, mark),
                          mark == std::string::npos ? "" : words[2].substr(mark + 1),
                          words.size() > 3 ? words[3] : "",
                          words[1],
                          ""};
    tenon_response response;
    response.cancelled = request.query == "gone";
    const tenon_status status = offered->handle(plugin, index, &request, &response);
    if (status != TENON_OK)
      std::printf("failed %d %s\n", status, response.failure.c_str());
    else
      std::printf("%d%s [%s] %s\n", response.status, response.headers.c_str(), response.given.c_str(),
                  response.body.c_str());
    return 0;
  }
  std::printf("no route\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return std::printf("%s\n", dlerror()), 1;
  void* symbol = dlsym(library, TENON_ENTRY_SYMBOL);
  const tenon_plugin_descriptor_t* (*entry)(void) = nullptr;
  std::memcpy(&entry, &symbol, sizeof entry);
  const tenon_plugin_descriptor_t* descriptor = entry();
  const tenon_host_t host{sizeof host,
                          TENON_ABI_MAJOR,
                          TENON_ABI_MINOR,
                          "test",
                          nullptr,
                          [](const tenon_host*, const char* id) -> const void* {
                            if (std::strcmp(id, TENON_HTTP_ID) == 0) return &http;
                            if (std::strcmp(id, TENON_LOG_ID) == 0) return &host_log;
                            if (std::strcmp(id, TENON_STATE_ID) == 0) return &state;
                            return nullptr;
                          }};
  tenon_plugin_t* plugin = nullptr;
  tenon_status status = descriptor->create(&host, &plugin);
  std::printf("create %s %s %d\n", descriptor->id, descriptor->version, status);
  if (status != TENON_OK) return 1;
  if (plugin->initialize != nullptr) std::printf("initialize %d\n", plugin->initialize(plugin));
  const std::string app = "app";
  const std::string root = "/root";
  const tenon_context_t context{sizeof context, bytes(app), bytes(root), 5};
  if (plugin->ready != nullptr) std::printf("ready %d\n", plugin->ready(plugin, &context));
  const auto* offered = static_cast<const tenon_plugin_http_t*>(plugin->get_extension(plugin, TENON_HTTP_ID));
  for (int at = 2; at < argc; ++at)
    if (step(plugin, offered, argv[at]) != 0) return 2;
  if (plugin->shutdown != nullptr) plugin->shutdown(plugin);
  plugin->destroy(plugin);
  dlclose(library);
  std::printf("end\n");
  return 0;
}
