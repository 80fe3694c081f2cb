/* Carries the note, exports everything but the entry. */
#define tenon_plugin_entry another_entry
#include "minimal.h"
