/* A child on a unix socket: reads messages of a size and so many bytes, and answers each with the same greeting. */
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int take(int from, char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t got = read(from, bytes, size);
    if (got <= 0) return 0;
    bytes += got;
    size -= (size_t)got;
  }
  return 1;
}

int main(int count, char** words) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const int listening = socket(AF_UNIX, SOCK_STREAM, 0);
  static char request[65536];
  static const char body[] = "Hello, World!";
  char answer[4 + sizeof body - 1];
  const uint32_t own = sizeof body - 1;
  if (count != 2) return 2;
  strncpy(address.sun_path, words[1], sizeof address.sun_path - 1);
  if (bind(listening, (struct sockaddr*)&address, sizeof address) != 0 || listen(listening, 1) != 0) return 1;
  if (write(1, "listening\n", 10) != 10) return 1;
  const int connection = accept(listening, NULL, NULL);
  memcpy(answer, &own, 4);
  memcpy(answer + 4, body, own);
  for (uint32_t size; take(connection, (char*)&size, 4);) {
    if (size > sizeof request || !take(connection, request, size)) return 1;
    if (write(connection, answer, sizeof answer) != sizeof answer) return 1;
  }
  return 0;
}
