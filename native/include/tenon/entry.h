/*
 * The one function a plugin exports, and the note that tells the same facts to whoever only reads the file.
 *
 *     static tenon_status create(const tenon_host_t *host, tenon_plugin_t **out) { ... }
 *     TENON_PLUGIN("counter", "Counter", "1.0.0", "Counts.", "Somebody", TENON_TRIAL_FULL, create)
 */
#ifndef TENON_ENTRY_H
#define TENON_ENTRY_H

#include "host.h"
#include "plugin.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * How far the trial of admission goes. Before any code of a library runs in the host, a throw-away process opens it:
 * with inert services (log is captured, state is empty), limits on time, memory and processor, and no network promised.
 */
enum {
  TENON_TRIAL_FULL = 0, /* open, entry, create, initialize, health, destroy: the default */
  TENON_TRIAL_OPEN = 1  /* open and entry only: for a plugin whose initialize takes ports or files of its own */
};

/*
 * What a plugin says of itself. Lives in the library, is never freed, never changes.
 * Strings are NUL-terminated UTF-8.
 */
typedef struct tenon_plugin_descriptor {
  uint32_t size;           /* sizeof(tenon_plugin_descriptor_t) as the plugin was built */
  uint16_t abi_major;      /* TENON_ABI_MAJOR as the plugin was built */
  uint16_t abi_minor;      /* the lowest minor the plugin needs */
  const char* id;          /* 1 to 63 bytes of [a-z0-9_-], beginning with a letter or digit; required */
  const char* name;        /* for people; required, may be empty */
  const char* version;     /* semantic version, e.g. "1.2.0"; required, 1 to 31 bytes */
  const char* description; /* one sentence; may be NULL */
  const char* author;      /* may be NULL */
  uint32_t trial;          /* TENON_TRIAL_FULL or TENON_TRIAL_OPEN */

  /*
   * Make an instance. On TENON_OK `*out` points to a plugin that stays until its `destroy`; otherwise `*out` is left
   * alone and nothing remains. May use log, config and state of `host`. One library may be asked for several instances
   * over its life, one at a time. [control]
   */
  tenon_status (*create)(const tenon_host_t* host, tenon_plugin_t** out);
} tenon_plugin_descriptor_t;

/* Name and type of the entry: the only symbol a plugin exports. [any], before create; must have no side effects. */
#define TENON_ENTRY_SYMBOL "tenon_plugin_entry"
TENON_EXPORT const tenon_plugin_descriptor_t* tenon_plugin_entry(void);

/*
 * The note: an ELF note (owner "Tenon", type 1) in section .note.tenon, or the same bytes in __DATA,__tenon on macOS.
 * Admission reads it from the file before a byte of the library is mapped. Integers in the byte order of the target;
 * texts are NUL-padded. Layout is frozen for all versions; a later one may be longer (`size`).
 */
#define TENON_NOTE_OWNER "Tenon"
#define TENON_NOTE_TYPE 1u
#define TENON_NOTE_ID_SIZE 64
#define TENON_NOTE_VERSION_SIZE 32
#define TENON_NOTE_COMPILER_SIZE 64

typedef struct tenon_note {
  uint32_t owner_size;       /* ELF note header: 6, with its NUL */
  uint32_t description_size; /* ELF note header: bytes from `size` to the end */
  uint32_t type;             /* ELF note header: TENON_NOTE_TYPE */
  char owner[8];             /* "Tenon", padded to a multiple of 4 */
  uint32_t size;             /* equals description_size */
  uint16_t abi_major;
  uint16_t abi_minor;
  uint32_t descriptor_size; /* sizeof(tenon_plugin_descriptor_t) as built */
  uint32_t trial;
  char id[TENON_NOTE_ID_SIZE];
  char version[TENON_NOTE_VERSION_SIZE];
  char sdk_version[TENON_NOTE_VERSION_SIZE];
  char compiler[TENON_NOTE_COMPILER_SIZE]; /* __VERSION__ of the compiler; cut to fit */
} tenon_note_t;

#if defined(__APPLE__)
#define TENON_NOTE_SECTION __attribute__((section("__DATA,__tenon"), used, aligned(4)))
#else
#define TENON_NOTE_SECTION __attribute__((section(".note.tenon"), used, aligned(4)))
#endif

#if defined(__clang_major__)
#define TENON_NOTE_STRING_(x) #x
#define TENON_NOTE_STRING(x) TENON_NOTE_STRING_(x)
#define TENON_NOTE_COMPILER                                                                                            \
  "clang " TENON_NOTE_STRING(__clang_major__) "." TENON_NOTE_STRING(__clang_minor__) "." TENON_NOTE_STRING(            \
      __clang_patchlevel__)
#elif defined(__GNUC__)
#define TENON_NOTE_STRING_(x) #x
#define TENON_NOTE_STRING(x) TENON_NOTE_STRING_(x)
#define TENON_NOTE_COMPILER                                                                                            \
  "gcc " TENON_NOTE_STRING(__GNUC__) "." TENON_NOTE_STRING(__GNUC_MINOR__) "." TENON_NOTE_STRING(__GNUC_PATCHLEVEL__)
#else
#define TENON_NOTE_COMPILER "unknown"
#endif

#define TENON_NOTE_DESCRIPTION_SIZE (sizeof(tenon_note_t) - offsetof(tenon_note_t, size))

/*
 * Defines the entry and the note. Use once in a library, at namespace scope, with string literals; all of one library's
 * other symbols should be hidden (cmake/tenon.cmake does that). `trial_value` is TENON_TRIAL_FULL or TENON_TRIAL_OPEN,
 * `create_function` has the type of tenon_plugin_descriptor_t.create.
 */
#define TENON_PLUGIN(id_text, name_text, version_text, description_text, author_text, trial_value, create_function)    \
  TENON_NOTE_SECTION static const tenon_note_t tenon_plugin_note = {6u,                                                \
                                                                    (uint32_t)TENON_NOTE_DESCRIPTION_SIZE,             \
                                                                    TENON_NOTE_TYPE,                                   \
                                                                    TENON_NOTE_OWNER,                                  \
                                                                    (uint32_t)TENON_NOTE_DESCRIPTION_SIZE,             \
                                                                    TENON_ABI_MAJOR,                                   \
                                                                    TENON_ABI_MINOR,                                   \
                                                                    (uint32_t)sizeof(tenon_plugin_descriptor_t),       \
                                                                    (trial_value),                                     \
                                                                    id_text,                                           \
                                                                    version_text,                                      \
                                                                    TENON_SDK_VERSION,                                 \
                                                                    TENON_NOTE_COMPILER};                              \
  TENON_EXPORT const tenon_plugin_descriptor_t* tenon_plugin_entry(void) {                                             \
    static const tenon_plugin_descriptor_t descriptor = {(uint32_t)sizeof(tenon_plugin_descriptor_t),                  \
                                                         TENON_ABI_MAJOR,                                              \
                                                         TENON_ABI_MINOR,                                              \
                                                         id_text,                                                      \
                                                         name_text,                                                    \
                                                         version_text,                                                 \
                                                         description_text,                                             \
                                                         author_text,                                                  \
                                                         (trial_value),                                                \
                                                         (create_function)};                                           \
    return &descriptor;                                                                                                \
  }

#ifdef __cplusplus
}
#endif

#endif
