#include "black_box.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "box_contents.h"
#include "clock.h"
#include "guard_notes.h"
#include "image_registry.h"
#include "thread_record.h"

using namespace tenon::core;

namespace {

// The box of this test's process.
const BoxMemory& own_box() {
  std::string problem;
  REQUIRE(open_box(-1, problem));
  return *process_box();
}

const BoxContents::Thread* thread_of(const BoxContents& contents, uint32_t tid) {
  for (const BoxContents::Thread& thread : contents.threads) {
    if (thread.tid == tid) return &thread;
  }
  return nullptr;
}

int function_here() { return 1; }
const void* address_here() { return reinterpret_cast<const void*>(&function_here); }

}  // namespace

TEST_CASE("An image is found by an address in it, while it is there and afterwards") {
  own_box();
  const ImageIndex first = image_registry::loading("one", 7, "ab");
  REQUIRE(first != kNoImage);
  const auto address = reinterpret_cast<uintptr_t>(address_here());
  CHECK(image_registry::find(address) != first);
  image_registry::opened(first, address_here());
  CHECK(image_registry::find(address) == first);
  CHECK(image_registry::find_code(address) == first);
  CHECK(image_registry::plugin_of(first) == "one");
  CHECK(image_registry::generation_of(first) == 7);
  CHECK(image_registry::base_of(first) <= address);
  image_registry::enter(first, ImageState::Closed);
  CHECK(image_registry::find(address) == first);
  const ImageIndex second = image_registry::loading("two", 8, "cd");
  image_registry::opened(second, address_here());
  CHECK(image_registry::find(address) == second);
  image_registry::enter(second, ImageState::Closed);
  CHECK(image_registry::find(address) == second);
  CHECK(image_registry::find(0) == kNoImage);
}

TEST_CASE("The place of an image is taken again when all others are") {
  own_box();
  const ImageIndex kept = image_registry::loading("kept", 1, "");
  image_registry::enter(kept, ImageState::Pinned);
  for (uint32_t count = 0; count < 2 * kBoxImages; count++) {
    const ImageIndex index = image_registry::loading("next", count, "");
    REQUIRE(index < kBoxImages);
    REQUIRE(index != kept);
    image_registry::enter(index, ImageState::Closed);
  }
  CHECK(image_registry::plugin_of(kept) == "kept");
  image_registry::enter(kept, ImageState::Closed);
}

TEST_CASE("A thread's record says what it is in and was in") {
  const BoxMemory& box = own_box();
  const ImageIndex image = image_registry::loading("worker", 3, "ef");
  name_route(5, "GET", "/worker/five");
  std::thread thread([&] {
    CHECK(image_of_thread() == kNoImage);
    const ThreadRecordGuard guard(ThreadKind::Pool);
    const uint32_t tid = record_of_thread()->tid;
    CHECK(work_of_thread() == Work::None);
    {
      const Inside outer(image, Work::Handle, 42, 5, now());
      CHECK(image_of_thread() == image);
      {
        const Inside inner(image, Work::Hook, 42);
        CHECK(work_of_thread() == Work::Hook);
      }
      CHECK(work_of_thread() == Work::Handle);
      const BoxContents contents = read_box(box, now());
      const BoxContents::Thread* const known = thread_of(contents, tid);
      REQUIRE(known != nullptr);
      CHECK(std::string(known->kind) == "pool");
      REQUIRE(known->inside.has_value());
      CHECK(std::string(known->inside->work) == "handle");
      CHECK(known->inside->image == image);
      CHECK(known->inside->request == 42);
      CHECK(known->inside->route == "GET /worker/five");
      REQUIRE(known->before.size() == 2);
      CHECK(std::string(known->before[0].work) == "hook");
    }
    const BoxContents contents = read_box(box, now());
    const BoxContents::Thread* const known = thread_of(contents, tid);
    REQUIRE(known != nullptr);
    CHECK(!known->inside.has_value());
    CHECK(known->before.size() == 3);
  });
  thread.join();
  for (const BoxContents::Thread& known : read_box(box, now()).threads) CHECK(known.kind != std::string("pool"));
}

TEST_CASE("Routes of two fronts have places of their own, and those of one that is gone are taken again") {
  const BoxMemory& box = own_box();
  RoutePlaces first;
  first.name(0, "GET", "/first");
  uint32_t place = RoutePlaces::kNone;
  {
    RoutePlaces second;
    second.name(0, "GET", "/second");
    second.name(kBoxRoutes, "GET", "/none");
    place = second.of(0);
    CHECK(place != first.of(0));
    CHECK(std::string(box.routes[first.of(0)].name) == "GET /first");
    CHECK(std::string(box.routes[place].name) == "GET /second");
    CHECK(second.of(kBoxRoutes) == RoutePlaces::kNone);
  }
  RoutePlaces third;
  third.name(0, "GET", "/third");
  CHECK(third.of(0) == place);
}

TEST_CASE("What a box says is bounded and of what is there, whatever its bytes are") {
  const auto box = std::make_unique<BoxMemory>();
  auto* const bytes = reinterpret_cast<unsigned char*>(box.get());
  uint32_t seed = 1;
  const auto random = [&seed] { return seed = seed * 1'664'525u + 1'013'904'223u; };
  for (int round = 0; round < 20; round++) {
    for (size_t at = 0; at < sizeof(BoxMemory); at++) bytes[at] = static_cast<unsigned char>(random() >> 24);
    // Small numbers get further than large ones.
    for (uint32_t index = 0; index < kBoxImages; index++) box->images[index].state.store(random() >> 29);
    box->fault.stage.store(random() >> 29);
    box->fault.kind = random() >> 29;
    const BoxContents contents = read_box(*box, now());
    CHECK(contents.images.size() <= kBoxImages);
    CHECK(contents.threads.size() <= kBoxThreads + 1);
    CHECK(contents.files.size() <= kBoxFiles);
    for (const BoxContents::Image& image : contents.images) {
      CHECK(image.plugin.size() <= 64);
      CHECK(std::all_of(image.plugin.begin(), image.plugin.end(), [](char one) { return one >= 0x20 && one < 0x7f; }));
    }
    for (const BoxContents::Thread& thread : contents.threads) {
      CHECK(thread.before.size() <= kBoxBefore);
      if (thread.inside) CHECK(thread.inside->image < kBoxImages);
    }
    if (contents.fault) {
      CHECK(contents.fault->scanned.size() <= kBoxFrames);
      CHECK(contents.fault->unwound.size() <= kBoxFrames);
      CHECK(contents.fault->registers.size() <= kBoxRegisters);
    }
  }
}

TEST_CASE("A box is read through its descriptor, and another file is none") {
  std::string problem;
  const int descriptor = create_box(problem);
  REQUIRE(descriptor >= 0);
  CHECK(copy_box(descriptor, problem) != nullptr);
  CHECK(!beat_of_box(descriptor, now()).has_value());
#if defined(__linux__)
  CHECK(ftruncate(descriptor, 0) != 0);
#endif
  BoxHeader header = {};
  header.magic = kBoxMagic;
  header.layout = kBoxLayout;
  header.beat = now() - milliseconds(50);
  REQUIRE(pwrite(descriptor, static_cast<const void*>(&header), sizeof header, 0) == sizeof header);
  REQUIRE(beat_of_box(descriptor, now()).has_value());
  CHECK(*beat_of_box(descriptor, now()) >= 50);
  header.layout++;
  REQUIRE(pwrite(descriptor, static_cast<const void*>(&header), sizeof header, 0) == sizeof header);
  CHECK(copy_box(descriptor, problem) == nullptr);
  close(descriptor);
  CHECK(copy_box(descriptor, problem) == nullptr);
}

TEST_CASE("What guards have caught is kept until it is taken, the newest are dropped") {
  take_guard_notes();
  for (int count = 0; count < 300; count++) {
    GuardNote note;
    note.detail = std::to_string(count);
    note_guard(std::move(note));
  }
  const std::vector<GuardNote> notes = take_guard_notes();
  REQUIRE(notes.size() == 256);
  CHECK(notes.front().detail == "0");
  CHECK(take_guard_notes().empty());
}
