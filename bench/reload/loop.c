/*
 * The least a reload can be: loop LIBRARY LIBRARY DIRECTORY TIMES REST_MS writes the bytes of the two libraries in turn
 * to a private file, opens it, finds the entry, calls it, closes it and removes it. Prints the milliseconds of each
 * turn. Each comes after a rest: a reload never finds the caches as the one before left them.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef const void* (*entry_fn)(void);

static char* read_whole(const char* path, size_t* size) {
  struct stat facts;
  const int file = open(path, O_RDONLY);
  if (file < 0 || fstat(file, &facts) != 0) return NULL;
  char* bytes = malloc((size_t)facts.st_size);
  for (*size = 0; bytes != NULL && *size < (size_t)facts.st_size;) {
    const ssize_t part = read(file, bytes + *size, (size_t)facts.st_size - *size);
    if (part <= 0) return NULL;
    *size += (size_t)part;
  }
  close(file);
  return bytes;
}

static int reload(const char* path, const char* bytes, size_t size) {
  const int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0500);
  if (file < 0) return 0;
  for (size_t at = 0; at < size;) {
    const ssize_t part = write(file, bytes + at, size - at);
    if (part <= 0) return 0;
    at += (size_t)part;
  }
  close(file);
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return 0;
  const entry_fn entry = (entry_fn)(intptr_t)dlsym(library, "tenon_plugin_entry");
  if (entry == NULL || entry() == NULL) return 0;
  return dlclose(library) == 0 && unlink(path) == 0;
}

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  size_t sizes[2];
  char* const libraries[] = {read_whole(argv[1], &sizes[0]), read_whole(argv[2], &sizes[1])};
  if (libraries[0] == NULL || libraries[1] == NULL) return 3;
  const int times = atoi(argv[4]);
  const struct timespec rest = {0, atol(argv[5]) * 1000000};
  for (int turn = 0; turn < times; turn++) {
    char path[4096];
    struct timespec begin, end;
    snprintf(path, sizeof path, "%s/%d.so", argv[3], turn);
    nanosleep(&rest, NULL);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (!reload(path, libraries[turn % 2], sizes[turn % 2])) return 4;
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%f\n", (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6);
  }
  return 0;
}
