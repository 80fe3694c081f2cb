/* A table of the host through tenon.tables/1. */
#ifndef TABLES_H
#define TABLES_H

#include <tenon/host.h>

#include "work.h"

bool tables_work(const tenon_host_t* host, work_t* work);

#endif
