#include "process_images.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>
#if defined(__linux__)
#include <link.h>
#elif defined(__APPLE__)
#include <mach-o/dyld.h>
#include <mach-o/loader.h>
#endif

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

#include "black_box.h"
#include "image_registry.h"

namespace tenon::core {

namespace {

void widen(ImageRange& range, uintptr_t low, uintptr_t high, bool code) {
  range.low = range.low == 0 ? low : std::min(range.low, low);
  range.high = std::max(range.high, high);
  if (!code) return;
  range.code_low = range.code_low == 0 ? low : std::min(range.code_low, low);
  range.code_high = std::max(range.code_high, high);
}

#if defined(__linux__)

ImageRange range_of(const dl_phdr_info& image) {
  ImageRange range;
  for (size_t index = 0; index < image.dlpi_phnum; index++) {
    const ElfW(Phdr)& segment = image.dlpi_phdr[index];
    if (segment.p_type != PT_LOAD) continue;
    const auto low = static_cast<uintptr_t>(image.dlpi_addr + segment.p_vaddr);
    widen(range, low, low + static_cast<uintptr_t>(segment.p_memsz), (segment.p_flags & PF_X) != 0);
  }
  return range;
}

struct Around {
  uintptr_t address;
  ImageRange range;
};

int look_around(dl_phdr_info* image, size_t, void* context) {
  Around& around = *static_cast<Around*>(context);
  const ImageRange range = range_of(*image);
  if (around.address < range.low || around.address >= range.high) return 0;
  around.range = range;
  return 1;
}

#elif defined(__APPLE__)

ImageRange range_of(const mach_header_64& image) {
  ImageRange range;
  const auto base = reinterpret_cast<uintptr_t>(&image);
  const char* command = reinterpret_cast<const char*>(&image + 1);
  uint64_t text = 0;
  for (int pass = 0; pass < 2; pass++) {
    const char* at = command;
    for (uint32_t index = 0; index < image.ncmds; index++) {
      const load_command& one = *reinterpret_cast<const load_command*>(at);
      at += one.cmdsize;
      if (one.cmd != LC_SEGMENT_64) continue;
      const segment_command_64& segment = *reinterpret_cast<const segment_command_64*>(&one);
      if (pass == 0 && std::strcmp(segment.segname, SEG_TEXT) == 0) text = segment.vmaddr;
      // The link-edit segment is shared by all images of the system's cache.
      if (pass == 0 || std::strcmp(segment.segname, SEG_LINKEDIT) == 0 || segment.vmsize == 0) continue;
      if (segment.initprot == 0) continue;
      const uintptr_t low = base + static_cast<uintptr_t>(segment.vmaddr - text);
      widen(range, low, low + static_cast<uintptr_t>(segment.vmsize), (segment.initprot & 4) != 0);
    }
  }
  return range;
}

#endif

bool is_of_plugin(uintptr_t address) {
  const ImageIndex index = image_registry::find(address);
  return index != kNoImage && image_registry::state_of(index) != ImageState::Closed;
}

// The list of files in the box, written anew.
class FileList {
 public:
  explicit FileList(BoxMemory& box) : box_(box) {}

  void add(const ImageRange& range, std::string_view name) {
    if (range.low == 0 || count_ == kBoxFiles || is_of_plugin(range.low)) return;
    FileRecord& record = box_.files[count_++];
    const bool same = record.low.load(std::memory_order_relaxed) == range.low &&
                      record.high.load(std::memory_order_relaxed) == range.high &&
                      name.substr(0, sizeof record.name - 1) == record.name;
    if (same) return;
    // A crash may come in the middle: of what is half written nothing is to be seen.
    record.low.store(0, std::memory_order_release);
    put_text(record.name, sizeof record.name, name);
    record.high.store(range.high, std::memory_order_release);
    record.low.store(range.low, std::memory_order_release);
  }
  void end() {
    for (; count_ < kBoxFiles; count_++) box_.files[count_].low.store(0, std::memory_order_release);
  }

 private:
  BoxMemory& box_;
  uint32_t count_ = 0;
};

#if defined(__linux__)

// Lines of /proc/self/maps, from a buffer on the stack.
class MapsReader {
 public:
  MapsReader() : file_(open("/proc/self/maps", O_RDONLY | O_CLOEXEC)) {}
  ~MapsReader() {
    if (file_ >= 0) close(file_);
  }
  MapsReader(const MapsReader&) = delete;
  MapsReader& operator=(const MapsReader&) = delete;

  bool next(std::string_view& line) {
    for (;;) {
      const auto* const end = static_cast<const char*>(std::memchr(bytes_.data() + begin_, '\n', size_ - begin_));
      if (end != nullptr) {
        const auto length = static_cast<size_t>(end - bytes_.data()) - begin_;
        line = {bytes_.data() + begin_, length};
        begin_ += length + 1;
        return true;
      }
      std::memmove(bytes_.data(), bytes_.data() + begin_, size_ - begin_);
      size_ -= begin_;
      begin_ = 0;
      if (file_ < 0 || size_ == bytes_.size()) return false;
      const ssize_t got = read(file_, bytes_.data() + size_, bytes_.size() - size_);
      if (got <= 0) return false;
      size_ += static_cast<size_t>(got);
    }
  }

 private:
  const int file_;
  std::array<char, 8192> bytes_;
  size_t begin_ = 0;
  size_t size_ = 0;
};

uintptr_t take_hex(std::string_view& text) {
  uintptr_t number = 0;
  while (!text.empty()) {
    const char digit = text.front();
    const int amount = digit >= '0' && digit <= '9'   ? digit - '0'
                       : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                                      : -1;
    if (amount < 0) break;
    number = number << 4 | static_cast<uintptr_t>(amount);
    text.remove_prefix(1);
  }
  return number;
}

#endif

}  // namespace

#if defined(__linux__)

ImageRange range_around(const void* inside) {
  Around around = {reinterpret_cast<uintptr_t>(inside), {}};
  dl_iterate_phdr(look_around, &around);
  return around.range;
}

// "7f00-7f01 r-xp 00000000 08:01 42    /folder/name"
ImageRange range_of_file(std::string_view name) {
  ImageRange range;
  if (name.empty()) return range;
  MapsReader maps;
  std::string_view line;
  while (maps.next(line)) {
    if (line.size() <= name.size() || line.substr(line.size() - name.size()) != name ||
        line[line.size() - name.size() - 1] != '/') {
      continue;
    }
    const uintptr_t low = take_hex(line);
    if (line.empty()) continue;
    line.remove_prefix(1);
    const uintptr_t high = take_hex(line);
    widen(range, low, high, line.size() > 3 && line[3] == 'x');
  }
  return range;
}

void list_process_images() {
  BoxMemory* const box = process_box();
  if (box == nullptr) return;
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  FileList list(*box);
  const auto add = [](dl_phdr_info* image, size_t, void* context) -> int {
    FileList& files = *static_cast<FileList*>(context);
    std::string_view name = image->dlpi_name == nullptr ? "" : image->dlpi_name;
    std::array<char, PATH_MAX> program;
    if (name.empty()) {
      const ssize_t size = readlink("/proc/self/exe", program.data(), program.size());
      name = {program.data(), size > 0 ? static_cast<size_t>(size) : 0};
    }
    files.add(range_of(*image), name);
    return 0;
  };
  dl_iterate_phdr(add, &list);
  list.end();
}

#else

ImageRange range_around(const void* inside) {
#if defined(__APPLE__)
  Dl_info facts = {};
  if (dladdr(inside, &facts) != 0 && facts.dli_fbase != nullptr) {
    return range_of(*static_cast<const mach_header_64*>(facts.dli_fbase));
  }
#else
  static_cast<void>(inside);
#endif
  return {};
}

ImageRange range_of_file(std::string_view) { return {}; }

void list_process_images() {
#if defined(__APPLE__)
  BoxMemory* const box = process_box();
  if (box == nullptr) return;
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  FileList list(*box);
  for (uint32_t index = 0; index < _dyld_image_count(); index++) {
    const auto* const image = reinterpret_cast<const mach_header_64*>(_dyld_get_image_header(index));
    const char* const name = _dyld_get_image_name(index);
    if (image != nullptr) list.add(range_of(*image), name == nullptr ? "" : name);
  }
  list.end();
#endif
}

#endif

}  // namespace tenon::core
