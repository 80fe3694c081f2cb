/*
 * Where C++ of authors meets the C contract: nothing that is thrown passes, and a Response becomes the host's. Part of
 * <tenon/tenon.hpp>, for its own headers.
 */
#include "tenon.hpp" /* first, and outside: it includes this one where it belongs */

#ifndef TENON_EDGE_HPP
#define TENON_EDGE_HPP

#include <cstring>
#include <exception>
#include <memory>

#if defined(__GLIBCXX__) && defined(__cpp_exceptions)
#include <cxxabi.h>
#endif

namespace tenon::detail {

struct Edge {
  static Request request(tenon_request_t* request) noexcept { return Request(request); }

  static void log_failure(std::string_view message) { log::error(message); }

  /* The edge: no exception passes, but for the forced unwinding of pthread_exit, which cannot be stopped. */
  template <typename Fail, typename Work>
  static tenon_status guard(Fail&& fail, Work&& work) {
#if defined(__cpp_exceptions)
    try {
      return work();
#if defined(__GLIBCXX__)
    } catch (abi::__forced_unwind&) {
      throw;
#endif
    } catch (const std::exception& failure) {
      fail(std::string_view(failure.what()));
    } catch (...) {
      fail(std::string_view("an exception that is not a std::exception"));
    }
    return TENON_ERROR;
#else
    static_cast<void>(fail);
    return work();
#endif
  }

  template <typename Work>
  static tenon_status step(Work&& work) {
    return guard(log_failure, [&]() -> tenon_status {
      const Result result = work();
      if (!result.refused()) return TENON_OK;
      log_failure(result.reason());
      return TENON_ERROR;
    });
  }

  /* Hands `answer` to the host. Returns why that was refused, or NULL. */
  static const char* send(tenon_response_t* response, Response& answer) {
    const tenon_host_http_t& http = *services.http;
    if (answer.status_ != 200 && http.set_status(response, answer.status_) != TENON_OK)
      return "the status of the response is not within 200 to 599";
    if (!answer.type_.empty()) http.set_header(response, bytes("content-type"), bytes(answer.type_));
    const std::string_view packed = answer.headers_;
    for (size_t at = 0; at < packed.size();) {
      size_t sizes[2];
      std::memcpy(sizes, packed.data() + at + 1, sizeof sizes);
      const size_t name = at + 1 + sizeof sizes;
      const auto put = packed[at] == '=' ? http.set_header : http.add_header;
      if (put(response, bytes(packed.substr(name, sizes[0])), bytes(packed.substr(name + sizes[0], sizes[1]))) !=
          TENON_OK)
        return "a header of the response is not allowed, or there are too many";
      at = name + sizes[0] + sizes[1];
    }
    if (answer.producer_ != nullptr) {
      Writer writer(response);
      answer.producer_->run(writer);
      if (writer.status_ == TENON_ERROR_AGAIN)
        return "an inline resource streamed more than the client takes at once: let it run in the pool";
      return writer.status_ == TENON_OK || writer.status_ == TENON_ERROR_CANCELLED ? nullptr : "a chunk was refused";
    }
    return send_body(response, answer.body_) == TENON_OK ? nullptr : "the body of the response is too large";
  }

  static tenon_status send_body(tenon_response_t* response, Body& body) {
    const tenon_host_http_t& http = *services.http;
    if (!body.constant_.empty())
      return http.give_body(response, body.constant_.data(), body.constant_.size(), nullptr, nullptr);
    constexpr size_t worth_handing_over = 1024;
    if (body.owned_.empty()) return TENON_OK;
    if (body.owned_.size() < worth_handing_over) return http.set_body(response, bytes(body.owned_));
    auto owned = std::make_unique<std::string>(std::move(body.owned_));
    std::string* const given = owned.release();
    return http.give_body(
        response, given->data(), given->size(),
        [](void*, size_t, void* context) { delete static_cast<std::string*>(context); }, given);
  }
};

}  // namespace tenon::detail

#endif
