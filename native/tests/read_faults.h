#ifndef TENON_TESTS_READ_FAULTS_H
#define TENON_TESTS_READ_FAULTS_H

namespace tenon::tests {

// As long as this lives no process may read memory by process_vm_readv, as under seccomp. Linux; elsewhere there is
// none.
class RefusedReads {
 public:
  RefusedReads();
  ~RefusedReads();
  RefusedReads(const RefusedReads&) = delete;
  RefusedReads& operator=(const RefusedReads&) = delete;
};

}  // namespace tenon::tests

#endif
