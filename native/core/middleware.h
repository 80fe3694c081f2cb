#ifndef TENON_CORE_MIDDLEWARE_H
#define TENON_CORE_MIDDLEWARE_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenon::core {

class Call;

// The middlewares of one call, in their order. [handler]
class Middleware {
 public:
  explicit Middleware(Call& call) : call_(call) {}
  Middleware(const Middleware&) = delete;
  Middleware& operator=(const Middleware&) = delete;

  // Before the handler. False when the handler must not run: the call is refused, or answered.
  bool before();
  // After it, for those whose `before` was through.
  void after();

 private:
  struct Place {
    int32_t order;
    size_t link;
  };
  bool find();

  Call& call_;
  std::vector<Place> places_;
  size_t through_ = 0;
};

}  // namespace tenon::core

#endif
