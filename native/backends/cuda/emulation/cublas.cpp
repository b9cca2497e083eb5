// A double of what the CUDA backend calls of cuBLAS.
#include <cublas_v2.h>

#include "memory.h"
#include "queue.h"

using namespace nasp;

namespace {
struct Handle {
  cudaStream_t stream = nullptr;
};
Handle* handle_of(cublasHandle_t h) { return reinterpret_cast<Handle*>(h); }
}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = reinterpret_cast<cublasHandle_t>(new Handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  delete handle_of(handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  handle_of(handle)->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void* workspace, size_t bytes) {
  return memory::on_device(workspace, bytes) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t mode) {
  return mode == CUBLAS_PEDANTIC_MATH ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}
cublasStatus_t cublasGetProperty(libraryPropertyType, int* value) {
  *value = 0;
  return CUBLAS_STATUS_SUCCESS;
}

// Column-major, as cuBLAS: c (m, n) = alpha * op(a) (m, k) * op(b) (k, n) + beta * c.
cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                              int n, int k, const float* alpha, const float* a, int lda, const float* b,
                              int ldb, const float* beta, float* c, int ldc) {
  if (!emulation::device_is_chosen()) return CUBLAS_STATUS_NOT_INITIALIZED;
  const bool turned_a = op_a != CUBLAS_OP_N, turned_b = op_b != CUBLAS_OP_N;
  const auto bytes = [](int columns, int ld, int rows) {
    return sizeof(float) * (static_cast<std::size_t>(columns - 1) * ld + rows);
  };
  if (m < 1 || n < 1 || k < 1 || lda < (turned_a ? k : m) || ldb < (turned_b ? n : k) || ldc < m ||
      !memory::on_device(a, turned_a ? bytes(m, lda, k) : bytes(k, lda, m)) ||
      !memory::on_device(b, turned_b ? bytes(k, ldb, n) : bytes(n, ldb, k)) ||
      !memory::on_device(c, bytes(n, ldc, m)))
    return CUBLAS_STATUS_INVALID_VALUE;
  emulation::enqueue(handle_of(handle)->stream, [=, alpha = *alpha, beta = *beta] {
    for (int j = 0; j < n; j++) {
      for (int i = 0; i < m; i++) {
        float sum = 0;
        for (int p = 0; p < k; p++) {
          const std::ptrdiff_t at_a = turned_a ? p + static_cast<std::ptrdiff_t>(i) * lda
                                               : i + static_cast<std::ptrdiff_t>(p) * lda,
                               at_b = turned_b ? j + static_cast<std::ptrdiff_t>(p) * ldb
                                               : p + static_cast<std::ptrdiff_t>(j) * ldb;
          sum += a[at_a] * b[at_b];
        }
        float& to = c[i + static_cast<std::ptrdiff_t>(j) * ldc];
        to = alpha * sum + (beta == 0 ? 0 : beta * to);
      }
    }
    return cudaSuccess;
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
