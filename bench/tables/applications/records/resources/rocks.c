#include "rocks.h"

#include <dlfcn.h>
#include <stdlib.h>

typedef struct rocksdb rocksdb_t;
typedef struct options options_t;

/* result, name without its prefix, parameters */
#define FUNCTIONS(X)                                                                                                   \
  X(options_t*, options_create, (void))                                                                                \
  X(void, options_destroy, (options_t*))                                                                               \
  X(void, options_set_create_if_missing, (options_t*, unsigned char))                                                  \
  X(void, options_set_compression, (options_t*, int))                                                                  \
  X(void, options_set_max_open_files, (options_t*, int))                                                               \
  X(void, options_set_max_background_jobs, (options_t*, int))                                                          \
  X(void, options_set_write_buffer_size, (options_t*, size_t))                                                         \
  X(void, options_set_max_total_wal_size, (options_t*, uint64_t))                                                      \
  X(void, options_set_block_based_table_factory, (options_t*, void*))                                                  \
  X(void*, block_based_options_create, (void))                                                                         \
  X(void, block_based_options_destroy, (void*))                                                                        \
  X(void, block_based_options_set_format_version, (void*, int))                                                        \
  X(void, block_based_options_set_block_cache, (void*, void*))                                                         \
  X(void, block_based_options_set_filter_policy, (void*, void*))                                                       \
  X(void*, filterpolicy_create_bloom_full, (double))                                                                   \
  X(void*, cache_create_lru, (size_t))                                                                                 \
  X(rocksdb_t*, open, (const options_t*, const char*, char**))                                                         \
  X(void, close, (rocksdb_t*))                                                                                         \
  X(void*, readoptions_create, (void))                                                                                 \
  X(void*, writeoptions_create, (void))                                                                                \
  X(void*, get_pinned, (rocksdb_t*, const void*, const char*, size_t, char**))                                         \
  X(const char*, pinnableslice_value, (const void*, size_t*))                                                          \
  X(void, pinnableslice_destroy, (void*))                                                                              \
  X(void, put, (rocksdb_t*, const void*, const char*, size_t, const char*, size_t, char**))                            \
  X(void*, writebatch_create, (void))                                                                                  \
  X(void, writebatch_clear, (void*))                                                                                   \
  X(void, writebatch_destroy, (void*))                                                                                 \
  X(void, writebatch_put, (void*, const char*, size_t, const char*, size_t))                                           \
  X(void, write, (rocksdb_t*, const void*, void*, char**))                                                             \
  X(void*, create_iterator, (rocksdb_t*, const void*))                                                                 \
  X(void, iter_seek_to_first, (void*))                                                                                 \
  X(unsigned char, iter_valid, (const void*))                                                                          \
  X(void, iter_next, (void*))                                                                                          \
  X(const char*, iter_value, (const void*, size_t*))                                                                   \
  X(void, iter_destroy, (void*))

static struct {
#define MEMBER(result, name, parameters) result(*name) parameters;
  FUNCTIONS(MEMBER)
  rocksdb_t* database;
  void* reading;
  void* writing;
} rocks;

static bool resolve(work_t* work, const char* library) {
  void* const handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) return failed(work, "dlopen", 0, dlerror());
#define RESOLVE(result, name, parameters)                                                                              \
  *(void**)&rocks.name = dlsym(handle, "rocksdb_" #name);                                                              \
  if (rocks.name == NULL) return failed(work, "dlsym", 0, #name);
  FUNCTIONS(RESOLVE)
  return true;
}

bool rocks_open(work_t* work, const char* library, const char* directory, uint64_t cache_bytes) {
  if (!resolve(work, library)) return false;
  rocks_close();
  options_t* const options = rocks.options_create();
  void* const table = rocks.block_based_options_create();
  rocks.block_based_options_set_format_version(table, 5);
  rocks.block_based_options_set_block_cache(table, rocks.cache_create_lru(cache_bytes));
  rocks.block_based_options_set_filter_policy(table, rocks.filterpolicy_create_bloom_full(10));
  rocks.options_set_block_based_table_factory(options, table);
  rocks.options_set_create_if_missing(options, 1);
  rocks.options_set_compression(options, 4);
  rocks.options_set_max_open_files(options, 512);
  rocks.options_set_max_background_jobs(options, 2);
  rocks.options_set_write_buffer_size(options, 32u << 20);
  rocks.options_set_max_total_wal_size(options, 64u << 20);
  char* error = NULL;
  rocks.database = rocks.open(options, directory, &error);
  rocks.block_based_options_destroy(table);
  rocks.options_destroy(options);
  if (error != NULL) return failed(work, "open", 0, error);
  rocks.reading = rocks.readoptions_create();
  rocks.writing = rocks.writeoptions_create();
  return true;
}

void rocks_close(void) {
  if (rocks.database != NULL) rocks.close(rocks.database);
  rocks.database = NULL;
}

static bool batches(work_t* work, bool in_order) {
  record_t record = new_record();
  char* error = NULL;
  void* const batch = rocks.writebatch_create();
  begin_timing(work);
  for (uint64_t done = 0; done < work->count && error == NULL; done += BATCH) {
    rocks.writebatch_clear(batch);
    for (uint64_t number = done; number < done + BATCH; number++) {
      set_record(&record, in_order ? number : draw(work));
      rocks.writebatch_put(batch, record.key, KEY_SIZE, record.stored, record.size);
    }
    rocks.write(rocks.database, rocks.writing, batch, &error);
  }
  end_timing(work);
  rocks.writebatch_destroy(batch);
  return error == NULL || failed(work, "write", 0, error);
}

static bool put_all(work_t* work) {
  record_t record = new_record();
  char* error = NULL;
  begin_timing(work);
  for (uint64_t done = 0; done < work->count && error == NULL; done++) {
    set_record(&record, draw(work));
    rocks.put(rocks.database, rocks.writing, record.key, KEY_SIZE, record.stored, record.size, &error);
  }
  end_timing(work);
  return error == NULL || failed(work, "put", 0, error);
}

static bool get_all(work_t* work) {
  record_t record = new_record();
  char* error = NULL;
  size_t sum = 0;
  begin_timing(work);
  for (uint64_t done = 0; done < work->count; done++) {
    size_t size = 0;
    set_record(&record, draw(work));
    void* const found = rocks.get_pinned(rocks.database, rocks.reading, record.key, KEY_SIZE, &error);
    if (found == NULL) return failed(work, "get", 0, error == NULL ? record.key : error);
    sum += (size_t)rocks.pinnableslice_value(found, &size)[HEAD_SIZE + 40] + size;
    rocks.pinnableslice_destroy(found);
  }
  end_timing(work);
  return sum != 0 || failed(work, "get", 0, "all records are empty");
}

static bool scan(work_t* work) {
  size_t sum = 0;
  begin_timing(work);
  void* const iterator = rocks.create_iterator(rocks.database, rocks.reading);
  work->done = 0;
  for (rocks.iter_seek_to_first(iterator); rocks.iter_valid(iterator); rocks.iter_next(iterator)) {
    size_t size = 0;
    sum += (size_t)rocks.iter_value(iterator, &size)[HEAD_SIZE + 40] + size;
    work->done++;
  }
  rocks.iter_destroy(iterator);
  end_timing(work);
  return sum != 0 || failed(work, "scan", 0, "there are no records");
}

bool rocks_work(work_t* work) {
  if (rocks.database == NULL) return failed(work, "RocksDB", 0, "it is not open");
  work->done = work->count;
  if (is_work(work, "load")) return batches(work, true);
  if (is_work(work, "batch")) return batches(work, false);
  if (is_work(work, "put")) return put_all(work);
  if (is_work(work, "get")) return get_all(work);
  if (is_work(work, "scan")) return scan(work);
  return failed(work, "RocksDB", 0, "there is no such work");
}
