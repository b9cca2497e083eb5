// The one exception of the engine. Codes are the ones that JavaScript sees as NaspError.code.
#pragma once
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>

namespace nasp {

// code: ERR_NASP_ARGUMENT, ERR_NASP_SHAPE, ERR_NASP_UNKNOWN_TENSOR, ERR_NASP_UNSUPPORTED, ERR_NASP_OUT_OF_MEMORY,
//       ERR_NASP_ABORTED, ERR_NASP_BUSY, ERR_NASP_DISPOSED, ERR_NASP_INTERNAL (ERR_NASP_DIVERGED is the search's, src/train)
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code(std::move(code)) {}
  std::string code;
};

// What was received in place of `what`.
[[noreturn]] inline void refuse(const std::string& what, const std::string& received,
                                const char* code = "ERR_NASP_ARGUMENT") {
  throw Error(code, "Expected " + what + " but received " + received);
}
inline void expect(bool ok, const std::string& what, const std::string& received,
                   const char* code = "ERR_NASP_ARGUMENT") {
  if (!ok) refuse(what, received, code);
}

// For messages: 1.5, 1e+300, 1.000000001, NaN.
inline std::string number_text(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", number);
  return std::isnan(number) ? "NaN" : text;
}

}  // namespace nasp
