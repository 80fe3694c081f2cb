#ifndef TENON_WIRE_CONTROL_SOCKET_H
#define TENON_WIRE_CONTROL_SOCKET_H

#include <string>
#include <string_view>

#include "protocol.h"

namespace tenon::wire {

// Descriptors that come with a packet; -1: none. Whoever receives them owns them.
struct Passengers {
  int waiting = -1;
  int ringing = -1;
};

// Two ends of a socket that keeps packets apart (SOCK_SEQPACKET; SOCK_DGRAM on macOS, which lacks it). False when the
// system has none.
bool open_control_sockets(int (&ends)[2]);
// Never waits. False when the other side is gone, or does not read what it is sent.
bool send_packet(int socket, const PacketHead& head, std::string_view bytes, const Passengers& passengers = {});
// One packet. 1: it is there; 0: the other side is gone; -1: there is none, or it is none of ours: more than
// kPacketBytes, or too short.
int receive_packet(int socket, PacketHead& head, std::string& bytes, Passengers& passengers);

}  // namespace tenon::wire

#endif
