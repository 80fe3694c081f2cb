#ifndef TENON_NODE_STORE_OBJECT_H
#define TENON_NODE_STORE_OBJECT_H

#include <napi.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "feed_server.h"
#include "open_store.h"
#include "store_jobs.h"

namespace tenon::node {

class FeedObject;
class StoreRequest;

// `StoreHandle` of src/binding/store.ts. Keeps itself alive from `open` until it is closed.
class StoreObject final : public Napi::ObjectWrap<StoreObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  // The open store behind `value`, or behind its property `handle`; nothing with a TypeError pending.
  static StoreObject* From(Napi::Value value);

  explicit StoreObject(const Napi::CallbackInfo& info);
  ~StoreObject() override;

  const std::shared_ptr<core::OpenStore>& shared() const { return store_; }
  core::Store& store() { return store_->store(); }
  core::FeedServer& feeds() { return *feeds_; }
  void Join(FeedObject& feed) { readers_.insert(&feed); }
  void Leave(FeedObject& feed) { readers_.erase(&feed); }

  // The table with this number, or nothing with a TypeError pending.
  core::Table* TableAt(Napi::Value number);
  uint32_t NumberOf(const core::Table& table);
  // Whether it is open; else an Error is pending.
  bool Check(Napi::Env env);

  static Napi::Error ErrorOf(Napi::Env env, const core::StoreFailure& failure, const char* invalid,
                             const char* large = "StoreFailed");
  static Napi::Error OpeningErrorOf(Napi::Env env, const core::StoreFailure& failure);
  static Napi::Value RecordOf(Napi::Env env, std::string_view record);

 private:
  enum class State : uint8_t { New, Opening, Open, Closing, Closed };

  static napi_value GetNow(napi_env env, napi_callback_info info);
  static void Wake(void* self);
  static void Turn(napi_env env, napi_value unused, void* self, void* also_unused);
  static void CleanUp(void* self);

  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Define(const Napi::CallbackInfo& info);
  Napi::Value Incompatible(const Napi::CallbackInfo& info);
  Napi::Value Definition(const Napi::CallbackInfo& info);
  Napi::Value Tables(const Napi::CallbackInfo& info);
  Napi::Value Facts(const Napi::CallbackInfo& info);
  Napi::Value Drop(const Napi::CallbackInfo& info);
  Napi::Value Get(const Napi::CallbackInfo& info);
  Napi::Value GetMany(const Napi::CallbackInfo& info);
  Napi::Value Query(const Napi::CallbackInfo& info);
  Napi::Value Count(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value Sequence(const Napi::CallbackInfo& info);
  Napi::Value Note(const Napi::CallbackInfo& info);
  Napi::Value SetNote(const Napi::CallbackInfo& info);
  Napi::Value Checkpoint(const Napi::CallbackInfo& info);
  Napi::Value Metrics(const Napi::CallbackInfo& info);
  Napi::Value Trouble(const Napi::CallbackInfo& info);
  Napi::Value Resume(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Version(const Napi::CallbackInfo& info);
  Napi::Value Library(const Napi::CallbackInfo& info);
  Napi::Value Identity(const Napi::CallbackInfo& info);

  template <typename Given>
  Napi::Value Start(Napi::Env env, core::StoreJob::Length length, Given given,
                    bool (*work)(core::OpenStore&, Given&, core::StoreFailure&),
                    Napi::Value (*tell)(Napi::Env, StoreObject&, Given&), const char* invalid = "StoreFailed",
                    const char* large = "SortTooLarge");
  Napi::Value Submit(std::unique_ptr<StoreRequest> request);
  Napi::Value Refuse(Napi::Env env);
  void Settle(Napi::Env env, StoreRequest& request);
  void Tell(Napi::Env env, StoreRequest& request);
  void FinishClosing(Napi::Env env);
  void KeepLoopAlive();
  void End();

  Napi::Env env_;
  core::StoreOptions options_;
  std::shared_ptr<core::OpenStore> store_;
  std::unique_ptr<core::StoreJobs> jobs_;
  std::unique_ptr<core::FeedServer> feeds_;
  std::vector<core::Table*> tables_;  // by number; null once it is dropped
  std::unordered_map<const core::Table*, uint32_t> numbers_;
  std::set<FeedObject*> readers_;
  std::vector<Napi::Promise::Deferred> closers_;
  uint32_t* words_ = nullptr;
  Napi::ObjectReference words_reference_;
  napi_threadsafe_function wake_ = nullptr;
  uint32_t under_way_ = 0;
  bool holds_loop_ = false;
  State state_ = State::New;

  friend class OpenRequest;
  friend class CloseRequest;
};

}  // namespace tenon::node

#endif
