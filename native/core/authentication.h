#ifndef TENON_CORE_AUTHENTICATION_H
#define TENON_CORE_AUTHENTICATION_H

namespace tenon::core {

class Call;

// Who `call` is from, and whether it may go on: the four steps of auth.h. False when it has been refused. A call on its
// way to a table has its need checked there, by whoever knows the table. [handler]
bool authenticate(Call& call);

}  // namespace tenon::core

#endif
