// Scratch memory of a session's kernels: one buffer a thread, and a few shared by all pieces of a call. A buffer
// grows when a larger size is asked for and is then kept, so after the first steps nothing is allocated.
#pragma once
#include <cstddef>
#include <vector>

namespace nasp {

class Workspace {
 public:
  explicit Workspace(int threads);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Thread `t`'s buffer; called by that thread only. Contents are lost when it grows.
  void* thread(int t, std::size_t bytes) { return grown(threads_[static_cast<std::size_t>(t)], bytes); }
  // Shared buffers, by purpose; asked for outside parallel regions.
  enum Purpose { partial_moments, partial_weights, joined_weights };
  void* shared(Purpose purpose, std::size_t bytes) { return grown(shared_[purpose], bytes); }

  std::size_t bytes() const;

 private:
  struct Buffer {
    void* data = nullptr;
    std::size_t size = 0;
  };
  static void release(Buffer& b);
  static void* grown(Buffer& b, std::size_t bytes);  // throws Error ERR_NASP_OUT_OF_MEMORY
  std::vector<Buffer> threads_;
  Buffer shared_[3];
};

}  // namespace nasp
