#include "image_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <tenon/entry.h>

namespace tenon::core {
namespace {

static_assert(sizeof(void*) == 8, "Tenon runs on 64-bit systems");

// ELF64 as the System V ABI lays it out; <elf.h> is not everywhere.
struct Header {
  uint8_t ident[16];
  uint16_t type, machine;
  uint32_t version;
  uint64_t entry, phoff, shoff;
  uint32_t flags;
  uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct Segment {
  uint32_t type, flags;
  uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
struct Section {
  uint32_t name, type;
  uint64_t flags, addr, offset, size;
  uint32_t link, info;
  uint64_t addralign, entsize;
};
struct Symbol {
  uint32_t name;
  uint8_t info, other;
  uint16_t shndx;
  uint64_t value, size;
};
struct Dynamic {
  int64_t tag;
  uint64_t value;
};
struct Relocation {
  uint64_t offset, info, addend;
};
struct VersionNeed {
  uint16_t version, count;
  uint32_t file, aux, next;
};
struct VersionNeedName {
  uint32_t hash;
  uint16_t flags, index;
  uint32_t name, next;
};
struct VersionDefinition {
  uint16_t version, flags, index, count;
  uint32_t hash, aux, next;
};
struct VersionDefinitionName {
  uint32_t name, next;
};
static_assert(sizeof(Header) == 64 && sizeof(Segment) == 56 && sizeof(Section) == 64 && sizeof(Symbol) == 24);
static_assert(sizeof(VersionNeed) == 16 && sizeof(VersionNeedName) == 16 && sizeof(VersionDefinition) == 20);

enum : uint32_t {
  kLoad = 1,
  kDynamic = 2,
  kInterpreter = 3,
  kNote = 4,
  kTls = 7,
  kStack = 0x6474e551,
  kRelro = 0x6474e552,
  kPropertyNote = 0x6474e553,
  kExecutable = 1,
  kWritable = 2
};
enum : uint32_t { kSectionNote = 7, kSectionNoBits = 8 };
enum : int64_t {
  kNeeded = 1,
  kPltRelSize = 2,
  kHash = 4,
  kStrTab = 5,
  kSymTab = 6,
  kRela = 7,
  kRelaSize = 8,
  kRelaEntry = 9,
  kStrSize = 10,
  kSymEntry = 11,
  kInit = 12,
  kFini = 13,
  kRpath = 15,
  kPltRel = 20,
  kTextRel = 22,
  kJmpRel = 23,
  kInitArray = 25,
  kFiniArray = 26,
  kInitArraySize = 27,
  kFiniArraySize = 28,
  kRunpath = 29,
  kFlags = 30,
  kRelrSize = 35,
  kRelr = 36,
  kRelrEntry = 37,
  kGnuHash = 0x6ffffef5,
  kVersym = 0x6ffffff0,
  kFlags1 = 0x6ffffffb,
  kVerdef = 0x6ffffffc,
  kVerneed = 0x6ffffffe
};
enum : uint64_t { kFlagTextRel = 4, kFlagStaticTls = 16, kFlag1NoDelete = 8, kFlag1Program = 0x08000000 };
enum : uint8_t { kBindLocal = 0, kBindUnique = 10, kTypeSection = 3, kTypeFile = 4, kTypeFunction = 2, kTypeTls = 6 };
enum : uint16_t { kUndefined = 0, kFirstReserved = 0xff00, kVersionWeak = 2 };

struct Machine {
  uint16_t number;
  const char* name;  // as people and compilers write it
  const char* arch;  // as Node does
};
constexpr Machine kMachines[] = {{62, "x86-64", "x64"},       {183, "aarch64", "arm64"},      {3, "i386", "ia32"},
                                 {40, "arm", "arm"},          {21, "ppc64", "ppc64"},         {22, "s390x", "s390x"},
                                 {243, "riscv64", "riscv64"}, {258, "loongarch64", "loong64"}};
#if defined(__x86_64__)
constexpr uint16_t kOwnMachine = 62;
#elif defined(__aarch64__)
constexpr uint16_t kOwnMachine = 183;
#elif defined(__riscv)
constexpr uint16_t kOwnMachine = 243;
#elif defined(__loongarch__)
constexpr uint16_t kOwnMachine = 258;
#else
#error "name this machine's e_machine here"
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr uint8_t kOwnByteOrder = 1;
#else
constexpr uint8_t kOwnByteOrder = 2;
#endif

std::string machine_name(uint16_t number) {
  for (const Machine& machine : kMachines)
    if (machine.number == number) return machine.name;
  return "machine " + std::to_string(number);
}

const char* arch_of(uint16_t number) {
  for (const Machine& machine : kMachines)
    if (machine.number == number) return machine.arch;
  return "";
}

// Machines whose libraries are laid out as ours, little-endian and of 64 bits.
bool is_readable(uint16_t number) { return kOwnByteOrder == 1 && (number == 62 || number == 183); }

// A version of glibc. Numbers of a stranger are bounded, so that they can be written out.
struct GlibcVersion {
  uint32_t parts[3] = {0, 0, 0};
  bool operator<(const GlibcVersion& other) const {
    return std::lexicographical_compare(parts, parts + 3, other.parts, other.parts + 3);
  }
};

// The version that `name`, of a version that a library needs, begins with; false for one that says none.
bool read_glibc_version(std::string_view name, GlibcVersion& version) {
  constexpr std::string_view kPrefix = "GLIBC_";
  if (name.substr(0, kPrefix.size()) != kPrefix) return false;
  name.remove_prefix(kPrefix.size());
  // Not numbered: what it stands for came with this release.
  if (name == "ABI_DT_RELR") {
    version = {{2, 36, 0}};
    return true;
  }
  size_t part = 0;
  size_t digits = 0;
  for (const char c : name) {
    if (c == '.' && digits != 0 && part < 2) {
      part++;
      digits = 0;
    } else if (c >= '0' && c <= '9' && digits++ < 5) {
      version.parts[part] = version.parts[part] * 10 + static_cast<uint32_t>(c - '0');
    } else {
      return false;
    }
  }
  return part != 0 && digits != 0;
}

std::string glibc_text(const GlibcVersion& version) {
  const std::string text = std::to_string(version.parts[0]) + "." + std::to_string(version.parts[1]);
  return version.parts[2] == 0 ? text : text + "." + std::to_string(version.parts[2]);
}

bool begins(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// Whose C library `needed` is part of; empty for any other library.
const char* libc_of(std::string_view needed) {
  if (needed == "libc.so" || begins(needed, "libc.musl-") || begins(needed, "ld-musl-")) return "musl";
  for (const std::string_view name :
       {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libresolv.so.2"})
    if (needed == name) return "glibc";
  return begins(needed, "ld-linux") ? "glibc" : "";
}

std::string hex(uint64_t value) {
  std::string text;
  do text.insert(text.begin(), "0123456789abcdef"[value & 15]);
  while ((value >>= 4) != 0);
  return "0x" + text;
}

// Bytes of a stranger in a sentence: printable, and short.
std::string quote(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, 120)) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      result += c;
    } else {
      result += "\\x";
      result += "0123456789abcdef"[byte >> 4];
      result += "0123456789abcdef"[byte & 15];
    }
  }
  if (text.size() > 120) result += "...";
  return result;
}

bool power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

class Inspection {
 public:
  Inspection(const uint8_t* bytes, size_t size, ImageFacts& facts, ImageFailure& failure, ImageScope scope)
      : bytes_(bytes), size_(size), facts_(facts), failure_(failure), any_(scope == ImageScope::kAnyMachine) {}

  bool run() {
    return check_header() && read_segments() && check_sections() && read_dynamic() && check_segments() &&
           check_strings() && count_symbols() && check_versions() && read_symbols() && check_relocations() &&
           check_initializers() && read_notes() && check_entry() && name_libc() && list_findings();
  }

 private:
  // Reading. Nothing below looks at `bytes_` but these four.

  bool inside(uint64_t offset, uint64_t length) const { return offset <= size_ && length <= size_ - offset; }

  // The caller has made sure that the range is inside.
  template <typename T>
  T at(uint64_t offset) const {
    T value;
    std::memcpy(&value, bytes_ + offset, sizeof value);
    return value;
  }

  std::string_view text(uint64_t offset, uint64_t length) const {
    return {reinterpret_cast<const char*>(bytes_) + offset, static_cast<size_t>(length)};
  }

  // check_strings has seen the NUL at the end of the table. Names may overlap: what is read of them is counted, for a
  // table made on purpose would take hours.
  std::string_view string(uint64_t name) {
    const std::string_view found{reinterpret_cast<const char*>(bytes_) + strings_ + name};
    names_read_ += found.size();
    return found;
  }
  bool names_overlap() {
    return names_read_ > 0x10000 + 16 * strings_size_ &&
           !fail("ImageFormat", "the names in the string table at offset " + hex(strings_) + " overlap too much");
  }

  bool fail(const char* code, std::string message) {
    failure_.code = code;
    failure_.message = std::move(message);
    return false;
  }
  bool truncated(const std::string& what, uint64_t offset, uint64_t length) {
    return fail("ImageTruncated", what + " at offset " + hex(offset) + " with " + std::to_string(length) +
                                      " bytes reaches past the end of the file (" + std::to_string(size_) + " bytes)");
  }
  bool damaged(const std::string& what) { return fail("ImageTruncated", what); }

  // Offset in the file of memory [address, address + length), when a segment fills all of it from the file.
  bool locate(uint64_t address, uint64_t length, uint64_t& offset) const {
    for (const Segment& load : loads_) {
      if (address < load.vaddr) continue;
      const uint64_t from = address - load.vaddr;
      if (from > load.filesz || length > load.filesz - from) continue;
      offset = load.offset + from;
      return true;
    }
    return false;
  }

  bool locate_table(const char* name, uint64_t address, uint64_t length, uint64_t& offset) {
    if (locate(address, length, offset)) return true;
    return damaged(std::string("the dynamic section's ") + name + " at address " + hex(address) + " with " +
                   std::to_string(length) + " bytes is not in the file");
  }

  // The segment whose memory holds [address, address + length).
  const Segment* memory(uint64_t address, uint64_t length) const {
    for (const Segment& load : loads_)
      if (address >= load.vaddr && address - load.vaddr <= load.memsz && length <= load.memsz - (address - load.vaddr))
        return &load;
    return nullptr;
  }

  bool check_header() {
    if (size_ == 0) return fail("ImageFormat", "the file is empty");
    if (size_ < 4 || std::memcmp(bytes_, "\177ELF", 4) != 0) return fail("ImageFormat", other_format());
    if (size_ < sizeof(Header)) return truncated("the ELF header", 0, sizeof(Header));
    header_ = at<Header>(0);
    const bool foreign = header_.ident[4] != 2 || header_.ident[5] != kOwnByteOrder;
    if (foreign || (any_ ? !is_readable(header_.machine) : header_.machine != kOwnMachine)) {
      const auto have = header_.ident[5] == kOwnByteOrder
                            ? header_.machine
                            : static_cast<uint16_t>(header_.machine << 8 | header_.machine >> 8);
      const char* bits = header_.ident[4] == 1 ? " (32-bit)" : "";
      const std::string known =
          any_ ? "only those for x86-64 and aarch64 are read" : "this host is " + machine_name(kOwnMachine);
      return fail("ImageArchitecture",
                  "the library is for " + machine_name(have) + bits + ", " + known + " (e_machine at offset 0x12)");
    }
    if (header_.ident[6] != 1 || header_.version != 1)
      return fail("ImageFormat", "the ELF version is not 1 (offset 0x6)");
    if (header_.type != 3)
      return fail("ImageFormat", "the file is not a shared library (e_type " + std::to_string(header_.type) +
                                     " at offset 0x10, a library has 3)");
    return true;
  }

  std::string other_format() const {
    const auto begins = [this](std::string_view magic) {
      return size_ >= magic.size() && text(0, magic.size()) == magic;
    };
    if (begins("\xcf\xfa\xed\xfe") || begins("\xca\xfe\xba\xbe")) return mach_o();
    if (begins("MZ")) return "the file is a Windows library, this host reads ELF";
    if (begins("!<arch>")) return "the file is a static archive, not a shared library";
    if (begins("#!")) return "the file is a script, not a shared library";
    return "the file does not begin with the ELF magic (offset 0x0)";
  }

  std::string mach_o() const {
    const char* arch = "";
    if (at<uint8_t>(0) == 0xcf && size_ >= 8) {
      const auto type = at<uint32_t>(4);
      arch = type == 0x01000007 ? " for x86-64" : type == 0x0100000c ? " for arm64" : "";
    }
    return std::string("the file is Mach-O") + arch + ", " +
           (any_ ? "which is not read: only ELF is" : "this host reads ELF");
  }

  bool read_segments() {
    if (header_.phnum == 0 || header_.phnum == 0xffff)
      return fail("ImageFormat",
                  "the number of program headers is " + std::to_string(header_.phnum) + " (offset 0x38)");
    if (header_.phentsize != sizeof(Segment))
      return fail("ImageFormat",
                  "a program header has " + std::to_string(header_.phentsize) + " bytes, not 56 (offset 0x36)");
    const uint64_t length = uint64_t{header_.phnum} * sizeof(Segment);
    if (!inside(header_.phoff, length)) return truncated("the table of program headers", header_.phoff, length);
    segments_.reserve(header_.phnum);
    for (uint64_t i = 0; i < header_.phnum; i++) {
      const auto segment = at<Segment>(header_.phoff + i * sizeof(Segment));
      const std::string name = "program header " + std::to_string(i);
      if (!inside(segment.offset, segment.filesz)) return truncated(name, segment.offset, segment.filesz);
      segments_.push_back(segment);
      if (segment.type != kLoad) continue;
      if (segment.filesz > segment.memsz)
        return damaged(name + " has more bytes in the file than in memory (p_filesz " + hex(segment.filesz) +
                       ", p_memsz " + hex(segment.memsz) + ")");
      if (segment.vaddr + segment.memsz < segment.vaddr)
        return damaged(name + " wraps around the end of memory (p_vaddr " + hex(segment.vaddr) + ")");
      if (segment.align > 1 && !power_of_two(segment.align))
        return damaged(name + " has an alignment that is no power of two (p_align " + hex(segment.align) + ")");
      if (segment.align > 1 && ((segment.vaddr - segment.offset) & (segment.align - 1)) != 0)
        return damaged(name + " is not aligned (p_vaddr " + hex(segment.vaddr) + ", p_offset " + hex(segment.offset) +
                       ", p_align " + hex(segment.align) + ")");
      if (!loads_.empty() && segment.vaddr < loads_.back().vaddr + loads_.back().memsz)
        return damaged(name + " overlaps the one before or is out of order (p_vaddr " + hex(segment.vaddr) + ")");
      if (loads_.size() == kMostLoads)
        return fail("ImageFormat", "more than " + std::to_string(kMostLoads) + " program headers load something");
      loads_.push_back(segment);
    }
    if (loads_.empty()) return fail("ImageFormat", "no program header loads anything (PT_LOAD is missing)");
    return true;
  }

  bool check_sections() {
    if (header_.shoff == 0) return true;
    if (!inside(header_.shoff, sizeof(Section)))
      return truncated("the table of section headers", header_.shoff, uint64_t{header_.shnum} * sizeof(Section));
    if (header_.shentsize != sizeof(Section))
      return fail("ImageFormat",
                  "a section header has " + std::to_string(header_.shentsize) + " bytes, not 64 (offset 0x3a)");
    const uint64_t count = header_.shnum != 0 ? header_.shnum : at<Section>(header_.shoff).size;
    if (count > size_ / sizeof(Section) || !inside(header_.shoff, count * sizeof(Section)))
      return truncated("the table of section headers", header_.shoff, count > size_ ? size_ : count * sizeof(Section));
    sections_.reserve(count);
    for (uint64_t i = 0; i < count; i++) {
      const auto section = at<Section>(header_.shoff + i * sizeof(Section));
      sections_.push_back(section);
      if (i == 0 || section.type == 0 || section.type == kSectionNoBits) continue;
      if (!inside(section.offset, section.size))
        return truncated("section " + std::to_string(i), section.offset, section.size);
    }
    return true;
  }

  bool read_dynamic() {
    const Segment* dynamic = nullptr;
    for (const Segment& segment : segments_) {
      if (segment.type != kDynamic) continue;
      if (dynamic != nullptr) return fail("ImageFormat", "there are two dynamic sections (PT_DYNAMIC)");
      dynamic = &segment;
    }
    if (dynamic == nullptr) return fail("ImageFormat", "there is no dynamic section (PT_DYNAMIC)");
    uint64_t offset = 0;
    if (!locate(dynamic->vaddr, dynamic->filesz, offset) || offset != dynamic->offset)
      return damaged("the dynamic section at offset " + hex(dynamic->offset) + " is not where a segment loads it from");
    const uint64_t count = std::min(dynamic->filesz / sizeof(Dynamic), kMostDynamics);
    for (uint64_t i = 0; i < count; i++) {
      const auto entry = at<Dynamic>(offset + i * sizeof(Dynamic));
      if (entry.tag == 0) return true;
      if (entry.tag == kNeeded) {
        needed_.push_back(entry.value);
      } else {
        // The loader takes the last of equal entries; DT_NEEDED alone is a list.
        entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                      [&entry](const Dynamic& other) { return other.tag == entry.tag; }),
                       entries_.end());
        if (entries_.size() == kMostEntries)
          return fail("ImageFormat", "the dynamic section has more than 256 kinds of entries");
        entries_.push_back(entry);
      }
    }
    return damaged("the dynamic section at offset " + hex(offset) + " has no end (DT_NULL) within " +
                   std::to_string(count) + " entries");
  }

  bool has(int64_t tag) const { return find(tag) != nullptr; }
  uint64_t value(int64_t tag) const {
    const Dynamic* entry = find(tag);
    return entry == nullptr ? 0 : entry->value;
  }
  const Dynamic* find(int64_t tag) const {
    for (const Dynamic& entry : entries_)
      if (entry.tag == tag) return &entry;
    return nullptr;
  }

  bool check_segments() {
    if ((value(kFlags1) & kFlag1Program) != 0)
      return fail("ImageFormat", "the file is a program, not a library (DF_1_PIE)");
    for (size_t i = 0; i < segments_.size(); i++) {
      const Segment& segment = segments_[i];
      const std::string name = "program header " + std::to_string(i);
      uint64_t offset = 0;
      if (segment.type == kInterpreter && segment.filesz != 0 && at<uint8_t>(segment.offset + segment.filesz - 1) != 0)
        return damaged(name + " (PT_INTERP) does not end with a NUL");
      if (segment.type == kTls &&
          (segment.filesz > segment.memsz || (segment.align > 1 && !power_of_two(segment.align)) ||
           (segment.filesz != 0 && !locate(segment.vaddr, segment.filesz, offset))))
        return damaged(name + " (PT_TLS) does not describe loaded memory (p_vaddr " + hex(segment.vaddr) + ")");
      if ((segment.type == kNote || segment.type == kPropertyNote) &&
          !(locate(segment.vaddr, segment.filesz, offset) && offset == segment.offset))
        return damaged(name + " (a note) is not where a segment loads it from (p_vaddr " + hex(segment.vaddr) + ")");
      if (segment.type == kRelro && segment.memsz != 0 && !protects_own_memory(segment))
        return damaged(name + " (PT_GNU_RELRO) protects memory that is not the library's (p_vaddr " +
                       hex(segment.vaddr) + ")");
    }
    return true;
  }

  // The linker rounds the end up to a page, past the end of the segment.
  bool protects_own_memory(const Segment& relro) const {
    constexpr uint64_t kLargestPage = 0x10000;
    for (const Segment& load : loads_) {
      if (relro.vaddr < load.vaddr || relro.vaddr - load.vaddr >= load.memsz) continue;
      return relro.memsz <= load.memsz - (relro.vaddr - load.vaddr) + kLargestPage;
    }
    return false;
  }

  bool check_strings() {
    if (!has(kStrTab) || !has(kSymTab)) return damaged("the dynamic section names no string or symbol table");
    strings_size_ = value(kStrSize);
    if (!locate_table("string table", value(kStrTab), strings_size_, strings_)) return false;
    if (strings_size_ == 0 || at<uint8_t>(strings_ + strings_size_ - 1) != 0)
      return damaged("the string table at offset " + hex(strings_) + " does not end with a NUL");
    if (has(kSymEntry) && value(kSymEntry) != sizeof(Symbol))
      return damaged("a symbol has " + std::to_string(value(kSymEntry)) + " bytes, not 24 (DT_SYMENT)");
    for (const uint64_t name : needed_) {
      if (name >= strings_size_) return damaged("the name of a needed library (DT_NEEDED) is not in the string table");
      facts_.needed.push_back(string(name));
      if (names_overlap()) return false;
    }
    for (const int64_t tag : {kRpath, kRunpath})
      if (has(tag) && value(tag) >= strings_size_)
        return damaged("the library search path (DT_RPATH, DT_RUNPATH) is not in the string table");
    return true;
  }

  bool count_symbols() {
    if (!has(kHash) && !has(kGnuHash)) return damaged("the dynamic section names no hash table of symbols");
    if (has(kGnuHash) && !count_gnu_hash()) return false;
    if (has(kHash) && !count_hash()) return false;
    return locate_table("symbol table", value(kSymTab), symbol_count_ * sizeof(Symbol), symbols_);
  }

  bool count_hash() {
    uint64_t offset = 0;
    if (!locate_table("hash table", value(kHash), 8, offset)) return false;
    const uint64_t buckets = at<uint32_t>(offset);
    const uint64_t chains = at<uint32_t>(offset + 4);
    if (buckets == 0) return damaged("the hash table at offset " + hex(offset) + " has no buckets");
    if (!locate_table("hash table", value(kHash), 8 + 4 * (buckets + chains), offset)) return false;
    for (uint64_t i = 0; i < buckets + chains; i++)
      if (at<uint32_t>(offset + 8 + 4 * i) >= std::max<uint64_t>(chains, 1))
        return damaged("the hash table at offset " + hex(offset) + " names a symbol that does not exist");
    symbol_count_ = std::max(symbol_count_, chains);
    return true;
  }

  bool count_gnu_hash() {
    uint64_t offset = 0;
    if (!locate_table("GNU hash table", value(kGnuHash), 16, offset)) return false;
    const uint64_t buckets = at<uint32_t>(offset);
    const uint64_t first = at<uint32_t>(offset + 4);
    const uint64_t bloom = at<uint32_t>(offset + 8);
    if (buckets == 0 || !power_of_two(bloom))
      return damaged("the GNU hash table at offset " + hex(offset) + " has " + std::to_string(buckets) +
                     " buckets and a filter of " + std::to_string(bloom) + " words");
    const uint64_t fixed = 16 + 8 * bloom + 4 * buckets;
    if (!locate_table("GNU hash table", value(kGnuHash), fixed, offset)) return false;
    uint64_t last = 0;
    for (uint64_t i = 0; i < buckets; i++) {
      const uint64_t bucket = at<uint32_t>(offset + 16 + 8 * bloom + 4 * i);
      if (bucket != 0 && bucket < first)
        return damaged("the GNU hash table at offset " + hex(offset) + " names symbol " + std::to_string(bucket) +
                       " below its first, " + std::to_string(first));
      last = std::max(last, bucket);
    }
    symbol_count_ = first;
    if (last == 0) return true;
    for (;; last++) {
      uint64_t chain = 0;
      if (!locate_table("GNU hash table", value(kGnuHash) + fixed + 4 * (last - first), 4, chain)) return false;
      if ((at<uint32_t>(chain) & 1) != 0) break;
    }
    symbol_count_ = last + 1;
    return true;
  }

  // The loader follows `next` until it is 0, whatever the count says.
  bool check_versions() {
    uint64_t highest = 1;
    if (has(kVerneed) && !walk_needed_versions(highest)) return false;
    if (has(kVerdef) && !walk_defined_versions(highest)) return false;
    if (!has(kVersym) || (!has(kVerneed) && !has(kVerdef))) return true;
    uint64_t offset = 0;
    if (!locate_table("table of symbol versions", value(kVersym), symbol_count_ * 2, offset)) return false;
    for (uint64_t i = 0; i < symbol_count_; i++) {
      const uint64_t version = at<uint16_t>(offset + 2 * i) & 0x7fffu;
      if (version > highest)
        return damaged("symbol " + std::to_string(i) + " has version " + std::to_string(version) + " of " +
                       std::to_string(highest) + " (offset " + hex(offset + 2 * i) + ")");
    }
    return true;
  }

  bool walk_needed_versions(uint64_t& highest) {
    const char* const table = "table of needed versions";
    uint64_t address = value(kVerneed);
    while (version_steps_++ < kMostVersions && !names_overlap()) {
      uint64_t offset = 0;
      if (!locate_table(table, address, sizeof(VersionNeed), offset)) return false;
      const auto need = at<VersionNeed>(offset);
      if (need.file >= strings_size_ || !is_needed(string(need.file)))
        return damaged("the table of needed versions names a library that is not needed (offset " + hex(offset) + ")");
      uint64_t name_address = address + need.aux;
      for (;;) {
        if (version_steps_++ > kMostVersions) return damaged("the table of needed versions has no end");
        if (!locate_table(table, name_address, sizeof(VersionNeedName), offset)) return false;
        const auto name = at<VersionNeedName>(offset);
        if (name.name >= strings_size_)
          return damaged("the name of a needed version is not in the string table (offset " + hex(offset) + ")");
        GlibcVersion version;
        if ((name.flags & kVersionWeak) == 0 && read_glibc_version(string(name.name), version))
          glibc_floor_ = std::max(glibc_floor_, version);
        if (names_overlap()) return false;
        highest = std::max<uint64_t>(highest, name.index & 0x7fffu);
        if (name.next == 0) break;
        name_address += name.next;
      }
      if (need.next == 0) return true;
      address += need.next;
    }
    return damaged("the table of needed versions has no end");
  }

  bool walk_defined_versions(uint64_t& highest) {
    const char* const table = "table of defined versions";
    uint64_t address = value(kVerdef);
    while (version_steps_++ < kMostVersions) {
      uint64_t offset = 0;
      if (!locate_table(table, address, sizeof(VersionDefinition), offset)) return false;
      const auto definition = at<VersionDefinition>(offset);
      if (!locate_table(table, address + definition.aux, sizeof(VersionDefinitionName), offset)) return false;
      if (at<VersionDefinitionName>(offset).name >= strings_size_)
        return damaged("the name of a defined version is not in the string table (offset " + hex(offset) + ")");
      highest = std::max<uint64_t>(highest, definition.index & 0x7fffu);
      if (definition.next == 0) return true;
      address += definition.next;
    }
    return damaged("the table of defined versions has no end");
  }

  bool is_needed(std::string_view library) const {
    return std::find(facts_.needed.begin(), facts_.needed.end(), library) != facts_.needed.end();
  }

  bool read_symbols() {
    facts_.exports.reserve(symbol_count_);
    for (uint64_t i = 1; i < symbol_count_; i++) {
      if (names_overlap()) return false;
      const uint64_t offset = symbols_ + i * sizeof(Symbol);
      const auto symbol = at<Symbol>(offset);
      if (symbol.name >= strings_size_)
        return damaged("the name of symbol " + std::to_string(i) + " is not in the string table (offset " +
                       hex(offset) + ")");
      const auto bind = static_cast<uint8_t>(symbol.info >> 4);
      const auto type = static_cast<uint8_t>(symbol.info & 15);
      if (symbol.shndx == kUndefined) {
        const std::string_view name = string(symbol.name);
        if (name == "__cxa_thread_atexit_impl" || name == "__cxa_thread_atexit") thread_atexit_ = name;
        continue;
      }
      if (type != kTypeTls && symbol.shndx < kFirstReserved && memory(symbol.value, 0) == nullptr)
        return damaged("symbol " + quote(string(symbol.name)) + " is at address " + hex(symbol.value) +
                       ", outside every segment (offset " + hex(offset) + ")");
      const auto visibility = symbol.other & 3;
      if (bind == kBindLocal || type == kTypeSection || type == kTypeFile || visibility == 1 || visibility == 2)
        continue;
      const std::string_view name = string(symbol.name);
      facts_.exports.push_back(name);
      if (bind == kBindUnique && unique_count_++ == 0) first_unique_ = name;
      if (name == TENON_ENTRY_SYMBOL) entry_ = symbol;
    }
    return true;
  }

  bool check_relocations() {
    if (has(kRelaEntry) && value(kRelaEntry) != sizeof(Relocation))
      return damaged("a relocation has " + std::to_string(value(kRelaEntry)) + " bytes, not 24 (DT_RELAENT)");
    if (has(kJmpRel) && value(kPltRel) != static_cast<uint64_t>(kRela))
      return damaged("the relocations of the procedure table are of an unknown kind (DT_PLTREL)");
    if (has(kRelrEntry) && value(kRelrEntry) != 8)
      return damaged("a packed relocation has " + std::to_string(value(kRelrEntry)) + " bytes, not 8 (DT_RELRENT)");
    text_relocations_ = has(kTextRel) || (value(kFlags) & kFlagTextRel) != 0;
    return (!has(kRela) || check_relocation_table("relocations", value(kRela), value(kRelaSize))) &&
           (!has(kJmpRel) || check_relocation_table("procedure relocations", value(kJmpRel), value(kPltRelSize))) &&
           (!has(kRelr) || check_packed_relocations(value(kRelr), value(kRelrSize)));
  }

  bool check_relocation_table(const char* name, uint64_t address, uint64_t length) {
    uint64_t offset = 0;
    if (!locate_table(name, address, length, offset)) return false;
    for (uint64_t end = offset + length / sizeof(Relocation) * sizeof(Relocation); offset < end;
         offset += sizeof(Relocation)) {
      const auto relocation = at<Relocation>(offset);
      uint64_t symbol = 0;
      if ((relocation.info >> 32) >= symbol_count_ && (relocation.info >> 32) != 0 &&
          !locate(value(kSymTab) + (relocation.info >> 32) * sizeof(Symbol), sizeof(Symbol), symbol))
        return damaged("a relocation names symbol " + std::to_string(relocation.info >> 32) +
                       ", which does not exist (offset " + hex(offset) + ")");
      if ((relocation.info >> 32) >= symbol_count_ && symbol != 0 && at<Symbol>(symbol).name >= strings_size_)
        return damaged("a relocation names a symbol without a name (offset " + hex(offset) + ")");
      if ((relocation.info & 0xffffffffu) != 0 && !may_relocate(relocation.offset))
        return damaged("a relocation writes to address " + hex(relocation.offset) +
                       ", which is not the library's to write (offset " + hex(offset) + ")");
    }
    return true;
  }

  // Even: an address. Odd: one bit for each of the 63 words that follow it.
  bool check_packed_relocations(uint64_t address, uint64_t length) {
    uint64_t offset = 0;
    if (!locate_table("packed relocations", address, length, offset)) return false;
    uint64_t target = 0;
    for (uint64_t end = offset + length / 8 * 8; offset < end; offset += 8) {
      const auto word = at<uint64_t>(offset);
      bool allowed = true;
      if ((word & 1) == 0) {
        allowed = may_relocate(word);
        target = word + 8;
      } else {
        for (uint64_t bit = 1; bit < 64; bit++)
          if ((word >> bit & 1) != 0) allowed = allowed && may_relocate(target + (bit - 1) * 8);
        target += 63 * 8;
      }
      if (!allowed)
        return damaged("a packed relocation writes to memory that is not the library's to write (offset " +
                       hex(offset) + ")");
    }
    return true;
  }

  bool may_relocate(uint64_t address) {
    const auto holds = [this, address](const Segment& load) {
      return address >= load.vaddr && load.memsz >= 8 && address - load.vaddr <= load.memsz - 8 &&
             ((load.flags & kWritable) != 0 || text_relocations_);
    };
    // Neighbours nearly always lie in one segment.
    if (last_relocated_ < loads_.size() && holds(loads_[last_relocated_])) return true;
    for (last_relocated_ = 0; last_relocated_ < loads_.size(); last_relocated_++)
      if (holds(loads_[last_relocated_])) return true;
    return false;
  }

  bool check_initializers() {
    uint64_t offset = 0;
    for (const int64_t tag : {kInit, kFini}) {
      if (!has(tag)) continue;
      const Segment* load = memory(value(tag), 1);
      if (load == nullptr || (load->flags & kExecutable) == 0)
        return damaged("the initializer (DT_INIT, DT_FINI) at address " + hex(value(tag)) + " is not code");
    }
    return (!has(kInitArray) ||
            locate_table("list of initializers", value(kInitArray), value(kInitArraySize), offset)) &&
           (!has(kFiniArray) || locate_table("list of finalizers", value(kFiniArray), value(kFiniArraySize), offset));
  }

  bool read_notes() {
    for (const Segment& segment : segments_)
      if (segment.type == kNote) walk_notes(segment.offset, segment.filesz, segment.align);
    if (notes_ == 0)
      for (const Section& section : sections_)
        if (section.type == kSectionNote || is_note_section(section))
          // Section 0, and one of type 0, have no place in the file that anybody has checked.
          if (section.type != 0 && section.type != kSectionNoBits && inside(section.offset, section.size))
            walk_notes(section.offset, section.size, section.addralign);
    if (notes_ == 0)
      return fail("ImageNoteMissing", "the file has no note of the owner \"" TENON_NOTE_OWNER
                                      "\"; a plugin gets it from TENON_PLUGIN in <tenon/entry.h>");
    if (notes_ > 1)
      return fail("ImageNoteMissing", "the file has " + std::to_string(notes_) + " notes, of two plugins");
    return read_tenon_note();
  }

  bool is_note_section(const Section& section) const {
    if (header_.shstrndx >= sections_.size()) return false;
    const Section& names = sections_[header_.shstrndx];
    constexpr std::string_view kName{".note.tenon", 12};  // with its NUL
    return section.name <= names.size && kName.size() <= names.size - section.name &&
           inside(names.offset, names.size) && text(names.offset + section.name, kName.size()) == kName;
  }

  void walk_notes(uint64_t offset, uint64_t length, uint64_t align) {
    const uint64_t mask = align == 8 ? 7 : 3;
    const uint64_t end = offset + length;
    while (end - offset >= 12 && note_steps_++ < kMostNotes) {
      const uint64_t owner_size = at<uint32_t>(offset);
      const uint64_t description_size = at<uint32_t>(offset + 4);
      const auto type = at<uint32_t>(offset + 8);
      const uint64_t owner = offset + 12;
      if (owner_size > end - owner) return;
      const uint64_t description = offset + ((12 + owner_size + mask) & ~mask);
      if (description > end || description_size > end - description) return;
      const std::string_view name = text(owner, owner_size);
      if (name == std::string_view("GNU", 4) && type == 3 && facts_.build_id.empty()) {
        for (uint64_t i = 0; i < std::min<uint64_t>(description_size, 64); i++) {
          const auto byte = at<uint8_t>(description + i);
          facts_.build_id += "0123456789abcdef"[byte >> 4];
          facts_.build_id += "0123456789abcdef"[byte & 15];
        }
      }
      if (name == std::string_view(TENON_NOTE_OWNER, sizeof(TENON_NOTE_OWNER)) && type == TENON_NOTE_TYPE &&
          note_offset_ != description) {
        note_offset_ = description;
        note_size_ = description_size;
        notes_++;
      }
      const uint64_t next = ((description - offset) + description_size + mask) & ~mask;
      if (next > end - offset) return;
      offset += next;
    }
  }

  bool note_flaw(const std::string& what) {
    return fail("ImageNoteMissing", "the Tenon note at offset " + hex(note_offset_) + " is not valid: " + what);
  }

  bool read_tenon_note() {
    if (note_size_ < TENON_NOTE_DESCRIPTION_SIZE)
      return note_flaw("it has " + std::to_string(note_size_) + " bytes, at least " +
                       std::to_string(TENON_NOTE_DESCRIPTION_SIZE) + " are needed");
    tenon_note_t note;
    constexpr size_t kFrom = offsetof(tenon_note_t, size);
    std::memset(&note, 0, sizeof note);
    std::memcpy(reinterpret_cast<uint8_t*>(&note) + kFrom, bytes_ + note_offset_, sizeof note - kFrom);
    if (note.size != note_size_)
      return note_flaw("its size says " + std::to_string(note.size) + ", its header " + std::to_string(note_size_));
    if (any_) {
      facts_.note.abi_major = note.abi_major;
      facts_.note.abi_minor = note.abi_minor;
      // Beyond its first members a note of another contract may hold anything.
      if (note.abi_major != TENON_ABI_MAJOR) return true;
    } else if (note.abi_major != TENON_ABI_MAJOR || note.abi_minor > TENON_ABI_MINOR)
      return fail("AbiUnsupported", "plugin built for ABI " + std::to_string(note.abi_major) + "." +
                                        std::to_string(note.abi_minor) + ", this host speaks " + spoken_abi() +
                                        " (note at offset " + hex(note_offset_) + ")");
    if (note.descriptor_size < sizeof(tenon_plugin_descriptor_t))
      return note_flaw("its descriptor has " + std::to_string(note.descriptor_size) + " bytes, at least " +
                       std::to_string(sizeof(tenon_plugin_descriptor_t)) + " are needed");
    if (note.trial > TENON_TRIAL_OPEN) return note_flaw("its trial is " + std::to_string(note.trial));
    ImageNote& out = facts_.note;
    out.abi_major = note.abi_major;
    out.abi_minor = note.abi_minor;
    out.trial = note.trial;
    if (!read_note_text("id", offsetof(tenon_note_t, id), sizeof note.id, out.id) ||
        !read_note_text("version", offsetof(tenon_note_t, version), sizeof note.version, out.version) ||
        !read_note_text("sdk_version", offsetof(tenon_note_t, sdk_version), sizeof note.sdk_version, out.sdk_version) ||
        !read_note_text("compiler", offsetof(tenon_note_t, compiler), sizeof note.compiler, out.compiler))
      return false;
    if (!is_id(out.id))
      return note_flaw("the id \"" + quote(out.id) + "\" is not 1 to 63 characters of a-z, 0-9, _ and -");
    if (out.version.empty()) return note_flaw("the version is empty");
    return true;
  }

  static std::string spoken_abi() {
    const std::string major = std::to_string(TENON_ABI_MAJOR) + ".";
    return TENON_ABI_MINOR == 0 ? major + "0" : major + "0 to " + major + std::to_string(TENON_ABI_MINOR);
  }

  bool read_note_text(const char* field, size_t position, size_t length, std::string_view& out) {
    const std::string_view whole = text(note_offset_ + position - offsetof(tenon_note_t, size), length);
    const size_t end = std::min(whole.find('\0'), length);
    if (end == length) return note_flaw(std::string("the ") + field + " has no end");
    if (whole.find_first_not_of('\0', end) != std::string_view::npos)
      return note_flaw(std::string("the ") + field + " is not padded with NULs");
    out = whole.substr(0, end);
    for (const char c : out)
      if (c < 0x20 || c > 0x7e) return note_flaw(std::string("the ") + field + " is not printable ASCII");
    return true;
  }

  static bool is_id(std::string_view id) {
    if (id.empty() || id.size() > 63 || id[0] == '_' || id[0] == '-') return false;
    return std::all_of(id.begin(), id.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
  }

  bool check_entry() {
    facts_.arch = arch_of(header_.machine);
    if (facts_.note.abi_major != TENON_ABI_MAJOR) return true;
    if (entry_.shndx == kUndefined)
      return fail("EntrypointNotFound",
                  "the library of plugin \"" + std::string(facts_.note.id) + "\" does not export " TENON_ENTRY_SYMBOL);
    const Segment* load = memory(entry_.value, 1);
    if ((entry_.info & 15) != kTypeFunction || load == nullptr || (load->flags & kExecutable) == 0)
      return fail("EntrypointNotFound", "the library of plugin \"" + std::string(facts_.note.id) +
                                            "\" exports " TENON_ENTRY_SYMBOL ", but it is not a function");
    return true;
  }

  void report(const char* rule, bool pins, std::string detail) {
    facts_.findings.push_back({rule, std::move(detail), pins});
  }

  bool name_libc() {
    for (const std::string_view library : facts_.needed)
      if (facts_.libc[0] == '\0') facts_.libc = libc_of(library);
    if (!(GlibcVersion{} < glibc_floor_)) return true;
    facts_.libc = "glibc";
    facts_.glibc_floor = glibc_text(glibc_floor_);
    return true;
  }

  bool list_findings() {
    if (unique_count_ != 0)
      report("unique-symbol", true,
             std::to_string(unique_count_) + " unique symbol" + (unique_count_ == 1 ? "" : "s") + ", the first is " +
                 quote(first_unique_) + "; compile with -fno-gnu-unique and hide what is not the entry");
    if ((value(kFlags1) & kFlag1NoDelete) != 0) report("nodelete", true, "linked with -z nodelete (DF_1_NODELETE)");
    if (!thread_atexit_.empty())
      report("thread-local-destructor", true,
             "imports " + std::string(thread_atexit_) +
                 ": a thread_local with a destructor holds the library for as long "
                 "as a thread that used it lives");
    if ((value(kFlags) & kFlagStaticTls) != 0)
      report("static-tls", false, "uses static thread-local storage (DF_STATIC_TLS), of which the process has little");
    const Segment* stack = nullptr;
    for (const Segment& segment : segments_) {
      if (segment.type == kStack) stack = &segment;
      if (segment.type == kLoad && (segment.flags & (kWritable | kExecutable)) == (kWritable | kExecutable))
        report("writable-code", false, "the segment at address " + hex(segment.vaddr) + " is writable and executable");
    }
    if (stack == nullptr) {
      report("executable-stack", false, "does not say that it needs no executable stack (PT_GNU_STACK is missing)");
    } else if ((stack->flags & kExecutable) != 0) {
      report("executable-stack", false, "asks for an executable stack (PT_GNU_STACK)");
    }
    if (text_relocations_) report("text-relocations", false, "its code is changed when it is opened (DT_TEXTREL)");
    for (const int64_t tag : {kRpath, kRunpath})
      if (has(tag))
        report(
            "rpath", false,
            "looks for libraries in " + quote(string(value(tag))) + (tag == kRpath ? " (DT_RPATH)" : " (DT_RUNPATH)"));
    return true;
  }

  // Far above what a linker writes; they bound the time that a file made on purpose can take.
  static constexpr size_t kMostLoads = 128;
  static constexpr size_t kMostEntries = 256;
  static constexpr uint64_t kMostDynamics = 4096;
  static constexpr uint32_t kMostVersions = 0x8000;
  static constexpr uint32_t kMostNotes = 0x8000;

  const uint8_t* bytes_;
  uint64_t size_;
  ImageFacts& facts_;
  ImageFailure& failure_;
  const bool any_;

  Header header_{};
  std::vector<Segment> segments_;
  std::vector<Segment> loads_;
  std::vector<Section> sections_;
  std::vector<Dynamic> entries_;
  std::vector<uint64_t> needed_;
  uint64_t strings_ = 0;
  uint64_t strings_size_ = 0;
  uint64_t symbols_ = 0;
  uint64_t symbol_count_ = 0;
  Symbol entry_{};
  uint64_t names_read_ = 0;
  GlibcVersion glibc_floor_;
  uint32_t version_steps_ = 0;
  uint32_t note_steps_ = 0;
  uint64_t unique_count_ = 0;
  std::string_view first_unique_;
  std::string_view thread_atexit_;
  bool text_relocations_ = false;
  size_t last_relocated_ = 0;
  uint64_t notes_ = 0;
  uint64_t note_offset_ = 0;
  uint64_t note_size_ = 0;
};

}  // namespace

bool inspect_image(const uint8_t* bytes, size_t size, ImageFacts& facts, ImageFailure& failure, ImageScope scope) {
  return Inspection(bytes, size, facts, failure, scope).run();
}

}  // namespace tenon::core
