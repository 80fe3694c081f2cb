#include "rocksdb.h"

#include <dlfcn.h>

#include <cstdlib>

namespace tenon::core {

namespace {

#if defined(__APPLE__)
constexpr const char* kSystem[] = {"librocksdb.dylib", "/opt/homebrew/lib/librocksdb.dylib",
                                   "/usr/local/lib/librocksdb.dylib"};
#else
constexpr const char* kSystem[] = {"librocksdb.so.9.10", "librocksdb.so.7.8", "librocksdb.so"};
#endif

template <class Function>
bool resolve(void* library, const char* name, Function& function, std::string& why) {
  void* const symbol = dlsym(library, name);
  if (symbol == nullptr) {
    why = std::string("has no function ") + name;
    return false;
  }
  function = reinterpret_cast<Function>(symbol);
  return true;
}

bool resolve_all(void* library, Rocksdb& functions, std::string& why) {
#define TENON_ROCKSDB_RESOLVE(result, name, parameters)                                                                \
  if (!resolve(library, "rocksdb_" #name, functions.name, why)) return false;
  TENON_ROCKSDB_FUNCTIONS(TENON_ROCKSDB_RESOLVE)
#undef TENON_ROCKSDB_RESOLVE
  return true;
}

std::string file_of(void* symbol, const std::string& otherwise) {
  Dl_info info;
  if (dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return otherwise;
  return info.dli_fname;
}

std::vector<std::string> default_files() {
  const char* const named = std::getenv("TENON_ROCKSDB");
  if (named != nullptr && named[0] != '\0') return {named};
  return {std::begin(kSystem), std::end(kSystem)};
}

}  // namespace

std::shared_ptr<const Rocksdb> Rocksdb::load(const std::vector<std::string>& files, std::string& why) {
  const std::vector<std::string> tried = files.empty() ? default_files() : files;
  why.clear();
  for (const std::string& file : tried) {
    std::string problem;
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == nullptr) {
      const char* const said = dlerror();
      problem = said == nullptr ? "cannot be opened" : said;
    } else {
      auto functions = std::make_shared<Rocksdb>();
      if (resolve_all(library, *functions, problem)) {
        functions->file = file_of(reinterpret_cast<void*>(functions->close), file);
        return functions;
      }
    }
    if (!why.empty()) why += "; ";
    why += problem.find(file) == std::string::npos ? file + ": " + problem : problem;
  }
  why = "no usable RocksDB among the libraries that were tried: " + why;
  return nullptr;
}

}  // namespace tenon::core
