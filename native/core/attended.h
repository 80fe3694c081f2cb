#ifndef TENON_CORE_ATTENDED_H
#define TENON_CORE_ATTENDED_H

namespace tenon::core {

// Something outside this process that tells a front's thread of what has come by a descriptor. All of it: [front].
class Attended {
 public:
  virtual ~Attended() = default;
  // Readable when there is something. The same as long as it is attended.
  virtual int descriptor() const = 0;
  // Take what has come.
  virtual void look() = 0;

  enum class Readiness {
    Quiet,      // the descriptor tells of what comes from here on
    Something,  // there is something to take
    Over        // nothing comes any more
  };
  // The thread is about to sleep.
  virtual Readiness before_sleep() = 0;
};

}  // namespace tenon::core

#endif
