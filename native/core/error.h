// The one exception of the engine. Codes are the ones that JavaScript sees as NaspError.code.
#pragma once
#include <stdexcept>
#include <string>

namespace nasp {

// code: ERR_NASP_ARGUMENT, ERR_NASP_SHAPE, ERR_NASP_UNKNOWN_TENSOR, ERR_NASP_UNSUPPORTED, ERR_NASP_OUT_OF_MEMORY,
//       ERR_NASP_ABORTED, ERR_NASP_BUSY, ERR_NASP_DISPOSED, ERR_NASP_INTERNAL (ERR_NASP_DIVERGED is the search's, src/train)
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code(std::move(code)) {}
  std::string code;
};

// Refuses what was received in place of `what`.
inline void expect(bool ok, const std::string& what, const std::string& received,
                   const char* code = "ERR_NASP_ARGUMENT") {
  if (!ok) throw Error(code, "Expected " + what + " but received " + received);
}

}  // namespace nasp
