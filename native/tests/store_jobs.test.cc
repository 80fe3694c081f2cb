#include "store_jobs.h"

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

using tenon::core::StoreJob;
using tenon::core::StoreJobs;
using Length = StoreJob::Length;

namespace {

// What has begun, in order, and what may end.
struct Scene {
  std::mutex mutex;
  std::condition_variable changed;
  std::string begun;
  std::string ended;

  bool wait_begun(const std::string& wanted) {
    std::unique_lock<std::mutex> lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(30), [&] { return begun.size() >= wanted.size(); }) &&
           begun == wanted;
  }
  void end(char name) {
    const std::lock_guard<std::mutex> lock(mutex);
    ended.push_back(name);
    changed.notify_all();
  }
};

class Held final : public StoreJob {
 public:
  Held(Scene& scene, char name, Length length) : StoreJob(length), scene_(scene), name_(name) {}

  void run() override {
    std::unique_lock<std::mutex> lock(scene_.mutex);
    scene_.begun.push_back(name_);
    scene_.changed.notify_all();
    scene_.changed.wait(lock, [this] { return scene_.ended.find(name_) != std::string::npos; });
  }

 private:
  Scene& scene_;
  const char name_;
};

struct World {
  Scene scene;
  StoreJobs jobs{[](void*) {}, nullptr};

  ~World() {
    for (const char name : {'a', 'b', 'c', 'd', 'e', 'f', 'g'}) scene.end(name);
  }

  void submit(char name, Length length) {
    std::unique_ptr<StoreJob> job = std::make_unique<Held>(scene, name, length);
    REQUIRE(jobs.submit(job));
  }
  // Begins at once.
  void begin(char name, Length length) {
    std::string wanted;
    {
      const std::lock_guard<std::mutex> lock(scene.mutex);
      wanted = scene.begun + name;
    }
    submit(name, length);
    CHECK(scene.wait_begun(wanted));
  }
};

}  // namespace

TEST_CASE("a short job does not wait for writes, nor a write for long jobs") {
  World world;
  world.begin('a', Length::Long);
  world.begin('b', Length::Long);
  world.submit('c', Length::Long);
  world.begin('d', Length::Write);
  world.submit('e', Length::Write);
  world.begin('f', Length::Short);
  world.scene.end('f');
  world.begin('g', Length::Short);
  world.scene.end('d');
  CHECK(world.scene.wait_begun("abdfge"));
  world.scene.end('a');
  CHECK(world.scene.wait_begun("abdfgec"));
}

TEST_CASE("a long job waits for what is older only") {
  World world;
  world.begin('a', Length::Short);
  world.begin('b', Length::Short);
  world.begin('c', Length::Short);
  world.begin('d', Length::Short);
  world.submit('e', Length::Long);
  world.submit('f', Length::Short);
  world.submit('g', Length::Write);
  world.scene.end('a');
  CHECK(world.scene.wait_begun("abcde"));
  world.scene.end('b');
  CHECK(world.scene.wait_begun("abcdef"));
  world.scene.end('c');
  CHECK(world.scene.wait_begun("abcdefg"));
}
