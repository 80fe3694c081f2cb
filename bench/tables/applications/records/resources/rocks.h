/* RocksDB through its C interface, set as the host sets it. */
#ifndef ROCKS_H
#define ROCKS_H

#include "work.h"

/* False, and a problem, when it cannot be opened; what is open is closed first. */
bool rocks_open(work_t* work, const char* library, const char* directory, uint64_t cache_bytes);
bool rocks_work(work_t* work);
void rocks_close(void);

#endif
