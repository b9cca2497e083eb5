// Every way from JavaScript into the engine passes guard(): whatever is thrown inside becomes one JavaScript error
// of the class that setErrorClass() was given, with a code, and nothing else leaves.
#pragma once
#include <napi.h>

namespace nasp {

// What JavaScript threw, or is to throw. Error::Value() asks the thrown object for a property, which may be a Proxy's trap or
// an accessor that throws again, where nothing may be thrown any more.
Napi::Value thrown_value(const Napi::Error& error);

// In a catch (...) block: throws what was thrown again, as a Napi::Error.
[[noreturn]] void rethrow(Napi::Env env);

template <class Body>
auto guard(Napi::Env env, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    rethrow(env);
  }
}

}  // namespace nasp
