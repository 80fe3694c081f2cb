# How a Tenon plugin is built.
#
#   include(/path/to/tenon/cmake/tenon.cmake)
#   tenon_add_plugin(todo SOURCES todo.c OUTPUT_NAME todo)
#
# makes todo.so (todo.dylib on macOS): it exports tenon_plugin_entry and nothing else, binds its own symbols to itself,
# has no symbols that pin it in the process (STB_GNU_UNIQUE), and is resolved completely when it is opened.
#
# With TENON_BUNDLE set it is for other machines: the same bytes wherever, whenever and by whomever it is built with these
# tools, stripped of what only a debugger needs, by the compiler's own linker, and for old loaders too.

include_guard(GLOBAL)

get_filename_component(TENON_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../native/include" ABSOLUTE)
set(TENON_EXPORT_MAP "${CMAKE_CURRENT_LIST_DIR}/plugin.map")

# Linker options that not every machine has, best first. A program linked with them must run: an old loader ignores or
# refuses packed relative relocations that a newer linker is glad to write.
function(tenon_find_link_options)
  if(DEFINED CACHE{TENON_LINK_OPTIONS})
    return()
  endif()
  set(found "")
  if(NOT CMAKE_CROSSCOMPILING AND NOT TENON_BUNDLE)
    get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
    if("C" IN_LIST languages)
      set(language C)
      include(CheckCSourceRuns)
    else()
      set(language CXX)
      include(CheckCXXSourceRuns)
    endif()
    find_program(TENON_MOLD mold)
    find_program(TENON_LLD ld.lld)
    mark_as_advanced(TENON_MOLD TENON_LLD)
    set(candidates "-Wl,-z,pack-relative-relocs")
    if(TENON_LLD)
      list(PREPEND candidates "-fuse-ld=lld -Wl,-z,pack-relative-relocs" "-fuse-ld=lld")
    endif()
    if(TENON_MOLD)
      list(PREPEND candidates "-fuse-ld=mold -Wl,-z,pack-relative-relocs" "-fuse-ld=mold")
    endif()
    foreach(candidate IN LISTS candidates)
      string(MAKE_C_IDENTIFIER "TENON_LINKS${candidate}" works)
      separate_arguments(options UNIX_COMMAND "${candidate}")
      # A linker that only warns of an option does not know it.
      set(CMAKE_REQUIRED_LINK_OPTIONS ${options} "-Wl,--fatal-warnings")
      set(source "static int zero; int *volatile pointer = &zero; int main(void) { return *pointer; }")
      set(CMAKE_REQUIRED_QUIET ON)
      if(language STREQUAL "C")
        check_c_source_runs("${source}" ${works})
      else()
        check_cxx_source_runs("${source}" ${works})
      endif()
      if(${works})
        set(found "${options}")
        break()
      endif()
    endforeach()
  endif()
  set(TENON_LINK_OPTIONS "${found}" CACHE STRING "Linker options for plugins, beside those that every machine has")
  mark_as_advanced(TENON_LINK_OPTIONS)
endfunction()

# tenon_add_plugin(<target> SOURCES <file>... [OUTPUT_NAME <name>] [SOURCE_ROOT <directory>] [PRECOMPILE <header>...])
# SOURCE_ROOT: what __FILE__ and debug information are relative to; the current source directory when absent.
# PRECOMPILE: headers that the C++ sources include first, such as <tenon/tenon.hpp>; it halves the time of an edit. A
# source that does not include them gets the property SKIP_PRECOMPILE_HEADERS.
function(tenon_add_plugin target)
  cmake_parse_arguments(PARSE_ARGV 1 plugin "" "OUTPUT_NAME;SOURCE_ROOT" "SOURCES;PRECOMPILE")
  if(NOT plugin_SOURCES)
    message(FATAL_ERROR "tenon_add_plugin(${target}): SOURCES is missing")
  endif()
  if(plugin_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "tenon_add_plugin(${target}): unknown argument ${plugin_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT plugin_OUTPUT_NAME)
    set(plugin_OUTPUT_NAME "${target}")
  endif()
  if(NOT plugin_SOURCE_ROOT)
    set(plugin_SOURCE_ROOT "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Kind of build" FORCE)
  endif()

  add_library(${target} MODULE ${plugin_SOURCES})
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME "${plugin_OUTPUT_NAME}"
    C_STANDARD 11 C_STANDARD_REQUIRED ON
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON NO_SONAME ON SKIP_BUILD_RPATH ON)
  if(NOT CMAKE_CXX_STANDARD)
    set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
  endif()
  target_include_directories(${target} SYSTEM PRIVATE "${TENON_INCLUDE_DIR}")
  target_compile_options(${target} PRIVATE
    # Running off the end of a handler would end the host.
    -Wall -Wextra -Werror=return-type -pipe
    $<$<CONFIG:Release>:-O2> $<$<CONFIG:Debug>:-O0>
    $<$<NOT:$<PLATFORM_ID:Darwin>>:-fno-semantic-interposition>
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>
    # A header is known by the name it was found under, also where a link on the way to it may come to lead elsewhere.
    $<$<OR:$<COMPILE_LANG_AND_ID:C,GNU>,$<COMPILE_LANG_AND_ID:CXX,GNU>>:-fno-canonical-system-headers>)
  # A debugger wants to find the sources; all others want the same library wherever it was built.
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(${target} PRIVATE
      "-ffile-prefix-map=${plugin_SOURCE_ROOT}/=" "-ffile-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}/=")
  endif()

  if(TENON_BUNDLE)
    target_compile_options(${target} PRIVATE
      "-ffile-prefix-map=${TENON_INCLUDE_DIR}/=" -Wno-builtin-macro-redefined
      "-D__DATE__=\"Jan  1 1970\"" "-D__TIME__=\"00:00:00\"" "-D__TIMESTAMP__=\"Thu Jan  1 00:00:00 1970\"")
    target_link_options(${target} PRIVATE "LINKER:-s")
  endif()

  foreach(header IN LISTS plugin_PRECOMPILE)
    string(REPLACE ">" "$<ANGLE-R>" header "${header}")
    target_precompile_headers(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${header}>")
  endforeach()

  if(APPLE)
    set_target_properties(${target} PROPERTIES SUFFIX ".dylib")
    target_link_options(${target} PRIVATE "LINKER:-exported_symbol,_tenon_plugin_entry")
  else()
    tenon_find_link_options()
    target_link_options(${target} PRIVATE
      "LINKER:-Bsymbolic" "LINKER:--exclude-libs,ALL" "LINKER:--version-script=${TENON_EXPORT_MAP}"
      "LINKER:-z,now" "LINKER:-z,relro" "LINKER:-z,noexecstack" "LINKER:--build-id=sha1" ${TENON_LINK_OPTIONS})
    set_target_properties(${target} PROPERTIES LINK_DEPENDS "${TENON_EXPORT_MAP}")
  endif()
  if(TENON_SANITIZE)
    target_compile_options(${target} PRIVATE -O1 -g "-fsanitize=${TENON_SANITIZE}" -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE "-fsanitize=${TENON_SANITIZE}")
  elseif(NOT APPLE)
    target_link_options(${target} PRIVATE "LINKER:-z,defs")
  endif()
endfunction()
