#ifndef TENON_CORE_PROCESS_AUDIT_H
#define TENON_CORE_PROCESS_AUDIT_H

#include <signal.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "image_registry.h"
#include "thread_record.h"

namespace tenon::core {

// What the own code of a plugin is seen to change, when it calls a function for that.
enum class ProcessPart : uint8_t { Directory, Mask };
// Code of `image` has called one. [any]
void note_changer(ProcessPart part, ImageIndex image);

/*
 * What all code of the process shares and a plugin may change for everybody: working directory, umask, locale,
 * environment, what is done about signals. Looked at before and after the steps in which a plugin is expected to set
 * things up; what is another then is put back and told, see GuardNote.
 *
 * The host may change these too, between two looks as well: what is there when no step is under way counts as its will,
 * as long as no handler lies in code of a plugin, and what the host never lets go of is not gone. A handler in code
 * that is neither is left: it may be that of another addon. So are directory and umask in a process that is somebody
 * else's as well, where no plugin was seen to change them. The environment is told of and left as it is: it is where
 * whoever embeds the host speaks to libraries at any time, and putting it back would race with every getenv.
 *
 * All functions are of the thread of a front: what libuv does with signals, and the host with its umask for the length
 * of a call, is done there, so that no half of it is seen.
 */
class ProcessAudit {
 public:
  // Whether the event loop of this thread has a use for `signal`. Its handler comes and goes with that.
  struct Loop {
    bool (*watches)(void* context, int signal) = nullptr;
    void* context = nullptr;
  };
  // A step under way.
  struct Section {
    ImageIndex image = kNoImage;
    uint64_t number = 0;
    bool alone = false;
    bool open = false;
  };
  // `Later`: a step of the same image follows at once, and the look after that one is for both.
  enum class Look { Now, Later };

  // That of the process.
  static ProcessAudit& instance();

  Section begin(ImageIndex image, const Loop& loop);
  // Handlers of faults, and of signals that the loop has a use for, are still there: a small look for between the
  // steps. [front]
  void look_at_kept(const Loop& loop);
  // Other code than the host's and plugins' is in this process: it may go where it likes. [any]
  void share(bool is_shared) { shared_.store(is_shared, std::memory_order_relaxed); }
  // `step`: what has been done, for people: "after <step> …".
  void end(Section& section, const char* step, Look look, const Loop& loop);

 private:
#if defined(__linux__)
  static constexpr int kSignals = 65;
#else
  static constexpr int kSignals = 32;
#endif
  struct Facts {
    dev_t device = 0;
    ino_t directory = 0;
    bool has_directory = false;
    mode_t mask = 0;
    bool has_mask = false;
    std::string locale;
    std::vector<const char*> environment;
    std::array<struct sigaction, kSignals> actions = {};
    std::array<bool, kSignals> has_action = {};
  };
  struct Culprit {
    ImageIndex image;
    const char* step;
    bool certain;
  };

  ProcessAudit();
  void read(Facts& facts);
  bool read_mask(mode_t& mask);
  bool has_home() const;
  void put_back_strange(int signal, const Loop& loop);
  bool is_known_change(ProcessPart part, Culprit& culprit) const;
  void settle(Facts& facts);
  void compare(const Culprit& suspect, const Loop& loop);
  void compare_directory(Culprit culprit);
  void compare_mask(Culprit culprit);
  void compare_locale(const Culprit& culprit);
  void compare_environment(const Culprit& culprit);
  void compare_action(int signal, const Culprit& culprit, const Loop& loop);
  bool is_host_code(const void* address) const;

  std::mutex mutex_;
  std::vector<const void*> host_code_;  // where the images of the host begin
  Facts before_;
  Facts after_;  // kept for its memory
  EntryCounts entries_;
  std::atomic<bool> shared_{false};
  uint64_t looked_ = 0;
  uint64_t begun_ = 0;
  uint32_t under_way_ = 0;
  int home_ = -1;  // the directory of `before_`
  int status_ = -1;
  bool later_ = false;
  Culprit latest_ = {kNoImage, "", true};  // of whom the look is still to come
};

// The signal mask of the front's thread, as it was when this began, every so many inline calls.
class SignalMaskAudit {
 public:
  static constexpr uint32_t kCallsPerLook = 256;

  SignalMaskAudit();
  // An inline call of `image` has returned. [front]
  void count(ImageIndex image) {
    if (++calls_ % kCallsPerLook == 0) look(image, false);
  }
  void look(ImageIndex image, bool certain);

 private:
  sigset_t mask_;
  uint32_t calls_ = 0;
};

}  // namespace tenon::core

#endif
