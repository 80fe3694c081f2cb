/* Built for the next contract: note and descriptor say 2.0. */
#include <tenon/types.h>
#undef TENON_ABI_MAJOR
#define TENON_ABI_MAJOR 2
#include "minimal.h"
