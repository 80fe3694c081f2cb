#include "store_object.h"

namespace tenon::node {

namespace {

const char* CodeOf(const core::StoreFailure& failure, const char* invalid, const char* large) {
  switch (failure.status) {
    case TENON_ERROR_STATE:
      return "StoreClosed";
    case TENON_ERROR_INVALID:
      return invalid;
    case TENON_ERROR_ARGUMENT:
      return "CursorInvalid";
    case TENON_ERROR_TOO_LARGE:
      return large;
    case TENON_ERROR_VERSION:
      return "ChangesGone";
    default:
      return failure.full ? "StoreFull" : "StoreFailed";
  }
}

// Of a store that could not be opened.
const char* CodeOfOpening(const core::StoreFailure& failure) {
  switch (failure.status) {
    case TENON_ERROR_UNSUPPORTED:
      return "RocksdbMissing";
    case TENON_ERROR_STATE:
      return "StoreLocked";
    case TENON_ERROR_INVALID:
      return "StoreDamaged";
    default:
      return failure.full ? "StoreFull" : "StoreFailed";
  }
}

const core::StoreFailure kClosed = {TENON_ERROR_STATE, {"", "the store is closed"}, false};
const core::StoreFailure kNoThread = {TENON_ERROR_STORAGE, {"", "no thread could be started for the store"}, false};
}  // namespace

Napi::Error StoreObject::ErrorOf(Napi::Env env, const core::StoreFailure& failure, const char* invalid,
                                 const char* large) {
  const core::TableProblem& problem = failure.problem;
  Napi::Error error = Napi::Error::New(env, core::sentence_of(problem));
  error.Set("code", Napi::String::New(env, CodeOf(failure, invalid, large)));
  if (!problem.field.empty()) error.Set("field", problem.field);
  return error;
}

Napi::Error StoreObject::OpeningErrorOf(Napi::Env env, const core::StoreFailure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.problem.message);
  error.Set("code", Napi::String::New(env, CodeOfOpening(failure)));
  return error;
}

}  // namespace tenon::node
