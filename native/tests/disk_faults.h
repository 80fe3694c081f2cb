#ifndef TENON_TESTS_DISK_FAULTS_H
#define TENON_TESTS_DISK_FAULTS_H

namespace tenon::test {

// What writes, syncs and reads of files answer as long as this lives: RocksDB comes by the test program's own write,
// pwrite, fdatasync, fsync and pread. Only files whose name ends in .log, .sst or begins with MANIFEST are touched.
class DiskFault {
 public:
  // StuckDisk: writes wait; LittleRoom: there are 17 MiB for the file that is made to see whether there is room;
  // SlowReads: what the thread that builds indexes reads takes 5 ms each time.
  enum class Kind { FullDisk, FailingSync, StuckDisk, LittleRoom, SlowReads };
  // `spares`: so many are let through first.
  explicit DiskFault(Kind kind, int spares = 0);
  ~DiskFault();
  DiskFault(const DiskFault&) = delete;
  DiskFault& operator=(const DiskFault&) = delete;
  // How often it has struck.
  static int strikes();
};

}  // namespace tenon::test

#endif
