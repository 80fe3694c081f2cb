#include "import_table.h"

#if defined(__linux__)

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace tenon::core {

namespace {

#if defined(__x86_64__)
constexpr uint32_t kSlotOfCall = R_X86_64_JUMP_SLOT;
constexpr uint32_t kSlotOfAddress = R_X86_64_GLOB_DAT;
constexpr uint32_t kPointer = R_X86_64_64;
#elif defined(__aarch64__)
constexpr uint32_t kSlotOfCall = R_AARCH64_JUMP_SLOT;
constexpr uint32_t kSlotOfAddress = R_AARCH64_GLOB_DAT;
constexpr uint32_t kPointer = R_AARCH64_ABS64;
#else
constexpr uint32_t kSlotOfCall = UINT32_MAX;
constexpr uint32_t kSlotOfAddress = UINT32_MAX;
constexpr uint32_t kPointer = UINT32_MAX;
#endif

using Header = ElfW(Phdr);
using Relocation = ElfW(Rela);
using Symbol = ElfW(Sym);

struct Image {
  uintptr_t wanted = 0;
  uintptr_t base = 0;
  ImageSpan span;
  const Header* headers = nullptr;
  size_t count = 0;
};

int match_image(dl_phdr_info* info, size_t, void* context) {
  Image& image = *static_cast<Image*>(context);
  ImageSpan span = {UINTPTR_MAX, 0};
  for (size_t index = 0; index < info->dlpi_phnum; index++) {
    const Header& header = info->dlpi_phdr[index];
    if (header.p_type != PT_LOAD) continue;
    const auto begin = static_cast<uintptr_t>(info->dlpi_addr + header.p_vaddr);
    span.low = std::min(span.low, begin);
    span.high = std::max(span.high, begin + static_cast<uintptr_t>(header.p_memsz));
  }
  if (image.wanted < span.low || image.wanted >= span.high) return 0;
  image.base = static_cast<uintptr_t>(info->dlpi_addr);
  image.span = span;
  image.headers = info->dlpi_phdr;
  image.count = info->dlpi_phnum;
  return 1;
}

struct Tables {
  const Relocation* calls = nullptr;
  const Relocation* others = nullptr;
  size_t calls_size = 0;
  size_t others_size = 0;
  const Symbol* symbols = nullptr;
  const char* names = nullptr;
};

Tables tables_of(const Image& image) {
  Tables tables;
  // glibc has made addresses of these when it opened the image, musl has not.
  const auto at = [&image](uintptr_t value) {
    return value >= image.span.low && value < image.span.high ? value : image.base + value;
  };
  for (size_t index = 0; index < image.count; index++) {
    if (image.headers[index].p_type != PT_DYNAMIC) continue;
    const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(image.base + image.headers[index].p_vaddr);
    for (; entry->d_tag != DT_NULL; entry++) {
      const auto value = static_cast<uintptr_t>(entry->d_un.d_val);
      switch (entry->d_tag) {
        case DT_JMPREL:
          tables.calls = reinterpret_cast<const Relocation*>(at(value));
          break;
        case DT_PLTRELSZ:
          tables.calls_size = value / sizeof(Relocation);
          break;
        case DT_RELA:
          tables.others = reinterpret_cast<const Relocation*>(at(value));
          break;
        case DT_RELASZ:
          tables.others_size = value / sizeof(Relocation);
          break;
        case DT_SYMTAB:
          tables.symbols = reinterpret_cast<const Symbol*>(at(value));
          break;
        case DT_STRTAB:
          tables.names = reinterpret_cast<const char*>(at(value));
          break;
        default:
          break;
      }
    }
  }
  return tables;
}

struct Change {
  uintptr_t slot;
  void* value;
};

class Redirection {
 public:
  Redirection(const Image& image, ChooseImport choose)
      : image_(image), choose_(choose), page_(static_cast<uintptr_t>(sysconf(_SC_PAGESIZE))) {}

  size_t run() {
    const Tables tables = tables_of(image_);
    if (tables.symbols == nullptr || tables.names == nullptr) return 0;
    collect(tables, tables.calls, tables.calls_size);
    collect(tables, tables.others, tables.others_size);
    return write();
  }

 private:
  bool in_image(uintptr_t address) const { return address >= image_.span.low && address < image_.span.high; }

  void collect(const Tables& tables, const Relocation* relocations, size_t count) {
    if (relocations == nullptr) return;
    for (size_t index = 0; index < count; index++) {
      const Relocation& relocation = relocations[index];
      const auto type = static_cast<uint32_t>(ELF64_R_TYPE(relocation.r_info));
      if (type != kSlotOfCall && type != kSlotOfAddress && (type != kPointer || relocation.r_addend != 0)) continue;
      const Symbol& symbol = tables.symbols[ELF64_R_SYM(relocation.r_info)];
      if (symbol.st_shndx != SHN_UNDEF || symbol.st_name == 0) continue;
      const uintptr_t slot = image_.base + static_cast<uintptr_t>(relocation.r_offset);
      if (!is_data(slot)) continue;
      // One that points into the image waits for its first call, or its function is there after all.
      void* const present = *reinterpret_cast<void* const*>(slot);
      if (present == nullptr || in_image(reinterpret_cast<uintptr_t>(present))) continue;
      if (void* const value = choose_(tables.names + symbol.st_name, present)) changes_.push_back({slot, value});
    }
  }

  bool is_data(uintptr_t slot) const {
    for (size_t index = 0; index < image_.count; index++) {
      const Header& header = image_.headers[index];
      const uintptr_t begin = image_.base + static_cast<uintptr_t>(header.p_vaddr);
      if (header.p_type == PT_LOAD && (header.p_flags & PF_W) != 0 && slot >= begin &&
          slot + sizeof(void*) <= begin + static_cast<uintptr_t>(header.p_memsz))
        return true;
    }
    return false;
  }

  // What the loader makes read-only once it has filled it in, in whole pages.
  ImageSpan sealed() const {
    for (size_t index = 0; index < image_.count; index++) {
      const Header& header = image_.headers[index];
      if (header.p_type != PT_GNU_RELRO) continue;
      const uintptr_t begin = image_.base + static_cast<uintptr_t>(header.p_vaddr);
      return {begin & ~(page_ - 1), (begin + static_cast<uintptr_t>(header.p_memsz)) & ~(page_ - 1)};
    }
    return {};
  }

  size_t write() {
    const ImageSpan relro = sealed();
    const auto is_sealed = [&relro](const Change& change) {
      return change.slot >= relro.low && change.slot < relro.high;
    };
    const bool any_sealed = std::any_of(changes_.begin(), changes_.end(), is_sealed);
    void* const begin = reinterpret_cast<void*>(relro.low);
    const size_t size = relro.high - relro.low;
    const bool opened = any_sealed && mprotect(begin, size, PROT_READ | PROT_WRITE) == 0;
    size_t written = 0;
    for (const Change& change : changes_) {
      if (is_sealed(change) && !opened) continue;
      // A thread that a constructor has started may be reading it.
      __atomic_store_n(reinterpret_cast<void**>(change.slot), change.value, __ATOMIC_RELEASE);
      written++;
    }
    if (opened) mprotect(begin, size, PROT_READ);
    return written;
  }

  const Image& image_;
  const ChooseImport choose_;
  const uintptr_t page_;
  std::vector<Change> changes_;
};

}  // namespace

bool find_image(const void* inside, ImageSpan& span) {
  Image image;
  image.wanted = reinterpret_cast<uintptr_t>(inside);
  if (dl_iterate_phdr(match_image, &image) == 0) return false;
  span = image.span;
  return true;
}

size_t redirect_imports(const void* inside, ChooseImport choose) {
  Image image;
  image.wanted = reinterpret_cast<uintptr_t>(inside);
  return dl_iterate_phdr(match_image, &image) == 0 ? 0 : Redirection(image, choose).run();
}

}  // namespace tenon::core

#else

namespace tenon::core {

bool find_image(const void*, ImageSpan&) { return false; }
size_t redirect_imports(const void*, ChooseImport) { return 0; }

}  // namespace tenon::core

#endif
