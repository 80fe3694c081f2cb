#ifndef TENON_CORE_ROCKSDB_H
#define TENON_CORE_ROCKSDB_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

// RocksDB's own types, which nobody looks into.
struct rocksdb_t;
struct rocksdb_block_based_table_options_t;
struct rocksdb_cache_t;
struct rocksdb_checkpoint_t;
struct rocksdb_column_family_handle_t;
struct rocksdb_filterpolicy_t;
struct rocksdb_iterator_t;
struct rocksdb_options_t;
struct rocksdb_pinnableslice_t;
struct rocksdb_readoptions_t;
struct rocksdb_snapshot_t;
struct rocksdb_wal_iterator_t;
struct rocksdb_wal_readoptions_t;
struct rocksdb_writebatch_t;
struct rocksdb_writeoptions_t;

namespace tenon::core {

// Every function of RocksDB's C interface that is used, without its prefix: result, name, parameters. All of them are
// in RocksDB 7.8 to 9.10.
// clang-format off
#define TENON_ROCKSDB_FUNCTIONS(X)                                                                                     \
  X(void, free, (void*))                                                                                               \
  X(rocksdb_options_t*, options_create, ())                                                                            \
  X(void, options_destroy, (rocksdb_options_t*))                                                                       \
  X(void, options_set_create_if_missing, (rocksdb_options_t*, unsigned char))                                          \
  X(void, options_set_paranoid_checks, (rocksdb_options_t*, unsigned char))                                            \
  X(void, options_set_max_open_files, (rocksdb_options_t*, int))                                                       \
  X(void, options_set_max_background_jobs, (rocksdb_options_t*, int))                                                  \
  X(void, options_set_max_total_wal_size, (rocksdb_options_t*, uint64_t))                                              \
  X(void, options_set_write_buffer_size, (rocksdb_options_t*, size_t))                                                 \
  X(void, options_set_db_write_buffer_size, (rocksdb_options_t*, size_t))                                              \
  X(void, options_set_WAL_ttl_seconds, (rocksdb_options_t*, uint64_t))                                                 \
  X(void, options_set_WAL_size_limit_MB, (rocksdb_options_t*, uint64_t))                                               \
  X(void, options_set_wal_recovery_mode, (rocksdb_options_t*, int))                                                    \
  X(void, options_set_recycle_log_file_num, (rocksdb_options_t*, size_t))                                              \
  X(void, options_set_keep_log_file_num, (rocksdb_options_t*, size_t))                                                 \
  X(void, options_set_max_log_file_size, (rocksdb_options_t*, size_t))                                                 \
  X(void, options_set_compression, (rocksdb_options_t*, int))                                                          \
  X(void, options_set_block_based_table_factory, (rocksdb_options_t*, rocksdb_block_based_table_options_t*))           \
  X(rocksdb_block_based_table_options_t*, block_based_options_create, ())                                              \
  X(void, block_based_options_destroy, (rocksdb_block_based_table_options_t*))                                         \
  X(void, block_based_options_set_format_version, (rocksdb_block_based_table_options_t*, int))                         \
  X(void, block_based_options_set_block_cache, (rocksdb_block_based_table_options_t*, rocksdb_cache_t*))               \
  X(void, block_based_options_set_filter_policy, (rocksdb_block_based_table_options_t*, rocksdb_filterpolicy_t*))      \
  X(rocksdb_filterpolicy_t*, filterpolicy_create_bloom_full, (double))                                                 \
  X(rocksdb_cache_t*, cache_create_lru, (size_t))                                                                      \
  X(void, cache_destroy, (rocksdb_cache_t*))                                                                           \
  X(char**, list_column_families, (const rocksdb_options_t*, const char*, size_t*, char**))                            \
  X(void, list_column_families_destroy, (char**, size_t))                                                              \
  X(rocksdb_t*, open_column_families, (const rocksdb_options_t*, const char*, int, const char* const*,                 \
    const rocksdb_options_t* const*, rocksdb_column_family_handle_t**, char**))                                        \
  X(void, close, (rocksdb_t*))                                                                                         \
  X(rocksdb_column_family_handle_t*, create_column_family, (rocksdb_t*, const rocksdb_options_t*, const char*, char**))\
  X(void, drop_column_family, (rocksdb_t*, rocksdb_column_family_handle_t*, char**))                                   \
  X(void, column_family_handle_destroy, (rocksdb_column_family_handle_t*))                                             \
  X(uint32_t, column_family_handle_get_id, (rocksdb_column_family_handle_t*))                                          \
  X(rocksdb_readoptions_t*, readoptions_create, ())                                                                    \
  X(void, readoptions_destroy, (rocksdb_readoptions_t*))                                                               \
  X(void, readoptions_set_snapshot, (rocksdb_readoptions_t*, const rocksdb_snapshot_t*))                               \
  X(void, readoptions_set_read_tier, (rocksdb_readoptions_t*, int))                                                    \
  X(void, readoptions_set_iterate_lower_bound, (rocksdb_readoptions_t*, const char*, size_t))                          \
  X(void, readoptions_set_iterate_upper_bound, (rocksdb_readoptions_t*, const char*, size_t))                          \
  X(rocksdb_pinnableslice_t*, get_pinned_cf, (rocksdb_t*, const rocksdb_readoptions_t*,                                \
    rocksdb_column_family_handle_t*, const char*, size_t, char**))                                                     \
  X(const char*, pinnableslice_value, (const rocksdb_pinnableslice_t*, size_t*))                                       \
  X(void, pinnableslice_destroy, (rocksdb_pinnableslice_t*))                                                           \
  X(const rocksdb_snapshot_t*, create_snapshot, (rocksdb_t*))                                                          \
  X(void, release_snapshot, (rocksdb_t*, const rocksdb_snapshot_t*))                                                   \
  X(rocksdb_iterator_t*, create_iterator_cf, (rocksdb_t*, const rocksdb_readoptions_t*,                                \
    rocksdb_column_family_handle_t*))                                                                                  \
  X(void, iter_destroy, (rocksdb_iterator_t*))                                                                         \
  X(unsigned char, iter_valid, (const rocksdb_iterator_t*))                                                            \
  X(void, iter_seek_to_first, (rocksdb_iterator_t*))                                                                   \
  X(void, iter_seek_to_last, (rocksdb_iterator_t*))                                                                    \
  X(void, iter_seek, (rocksdb_iterator_t*, const char*, size_t))                                                       \
  X(void, iter_seek_for_prev, (rocksdb_iterator_t*, const char*, size_t))                                              \
  X(void, iter_next, (rocksdb_iterator_t*))                                                                            \
  X(void, iter_prev, (rocksdb_iterator_t*))                                                                            \
  X(const char*, iter_key, (const rocksdb_iterator_t*, size_t*))                                                       \
  X(const char*, iter_value, (const rocksdb_iterator_t*, size_t*))                                                     \
  X(void, iter_get_error, (const rocksdb_iterator_t*, char**))                                                         \
  X(rocksdb_writeoptions_t*, writeoptions_create, ())                                                                  \
  X(void, writeoptions_destroy, (rocksdb_writeoptions_t*))                                                             \
  X(void, writeoptions_set_sync, (rocksdb_writeoptions_t*, unsigned char))                                             \
  X(void, put_cf, (rocksdb_t*, const rocksdb_writeoptions_t*, rocksdb_column_family_handle_t*, const char*, size_t,    \
    const char*, size_t, char**))                                                                                      \
  X(void, write, (rocksdb_t*, const rocksdb_writeoptions_t*, rocksdb_writebatch_t*, char**))                           \
  X(void, flush_wal, (rocksdb_t*, unsigned char, char**))                                                              \
  X(rocksdb_writebatch_t*, writebatch_create, ())                                                                      \
  X(void, writebatch_destroy, (rocksdb_writebatch_t*))                                                                 \
  X(int, writebatch_count, (rocksdb_writebatch_t*))                                                                    \
  X(void, writebatch_put_cf, (rocksdb_writebatch_t*, rocksdb_column_family_handle_t*, const char*, size_t,             \
    const char*, size_t))                                                                                              \
  X(void, writebatch_delete_cf, (rocksdb_writebatch_t*, rocksdb_column_family_handle_t*, const char*, size_t))         \
  X(const char*, writebatch_data, (rocksdb_writebatch_t*, size_t*))                                                    \
  X(uint64_t, get_latest_sequence_number, (rocksdb_t*))                                                                \
  X(rocksdb_wal_iterator_t*, get_updates_since, (rocksdb_t*, uint64_t, const rocksdb_wal_readoptions_t*, char**))      \
  X(void, wal_iter_next, (rocksdb_wal_iterator_t*))                                                                    \
  X(unsigned char, wal_iter_valid, (const rocksdb_wal_iterator_t*))                                                    \
  X(void, wal_iter_status, (const rocksdb_wal_iterator_t*, char**))                                                    \
  X(rocksdb_writebatch_t*, wal_iter_get_batch, (const rocksdb_wal_iterator_t*, uint64_t*))                             \
  X(void, wal_iter_destroy, (rocksdb_wal_iterator_t*))                                                                 \
  X(int, property_int, (rocksdb_t*, const char*, uint64_t*))                                                           \
  X(int, property_int_cf, (rocksdb_t*, rocksdb_column_family_handle_t*, const char*, uint64_t*))                       \
  X(rocksdb_checkpoint_t*, checkpoint_object_create, (rocksdb_t*, char**))                                             \
  X(void, checkpoint_create, (rocksdb_checkpoint_t*, const char*, uint64_t, char**))                                   \
  X(void, checkpoint_object_destroy, (rocksdb_checkpoint_t*))
// clang-format on

/*
 * RocksDB as it was found when the host started: a table of its C functions, looked up by name in a shared library.
 * Nothing of RocksDB is needed to build the core. The library is never unloaded: it has threads of its own.
 */
struct Rocksdb {
#define TENON_ROCKSDB_MEMBER(result, name, parameters) result(*name) parameters = nullptr;
  TENON_ROCKSDB_FUNCTIONS(TENON_ROCKSDB_MEMBER)
#undef TENON_ROCKSDB_MEMBER
  std::string file;  // the library, as the system found it

  // The first of `files` that is a RocksDB (a bare name is looked for by the system). Null and `why` when there is
  // none: each file that was tried, and what is wrong with it. Empty `files`: the one TENON_ROCKSDB names, else the
  // system's.
  static std::shared_ptr<const Rocksdb> load(const std::vector<std::string>& files, std::string& why);
};

// An object of RocksDB that is given back at the end.
template <class T>
using RocksdbOwned = std::unique_ptr<T, void (*)(T*)>;

// What a function of RocksDB says when it fails; pass `out()` as its last argument.
class RocksdbError {
 public:
  explicit RocksdbError(const Rocksdb& library) : library_(library) {}
  ~RocksdbError() { clear(); }
  RocksdbError(const RocksdbError&) = delete;
  RocksdbError& operator=(const RocksdbError&) = delete;
  char** out() { return &text_; }
  explicit operator bool() const { return text_ != nullptr; }
  std::string_view text() const { return text_ == nullptr ? std::string_view() : std::string_view(text_); }
  void clear() {
    if (text_ != nullptr) library_.free(text_);
    text_ = nullptr;
  }

 private:
  const Rocksdb& library_;
  char* text_ = nullptr;
};

}  // namespace tenon::core

#endif
