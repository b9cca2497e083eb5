// Every way from JavaScript into the engine passes guard(): whatever is thrown inside becomes one JavaScript error
// of the class that setErrorClass() was given, with a code, and nothing else leaves.
#pragma once
#include <napi.h>

#include <new>
#include <stdexcept>
#include <string>

#include "../core/error.h"

namespace nasp {

// An exception of the engine's, in words.
struct Failure {
  std::string code, message;
};

// To be called in a catch (...) block. Rethrows Napi::Error: that one is JavaScript's already.
inline Failure current_failure() {
  try {
    throw;
  } catch (const Napi::Error&) {
    throw;
  } catch (const Error& error) {
    return {error.code, error.what()};
  } catch (const std::bad_alloc&) {
    return {"ERR_NASP_OUT_OF_MEMORY", "The engine could not get the memory it needs"};
  } catch (const std::length_error&) {
    return {"ERR_NASP_OUT_OF_MEMORY", "The engine was asked for more memory than there can be"};
  } catch (const std::exception& error) {
    return {"ERR_NASP_INTERNAL", error.what()};
  } catch (...) {
    return {"ERR_NASP_INTERNAL", "The engine threw something unknown"};
  }
}

// An instance of the environment's error class, or a plain Error with a code where there is none.
Napi::Value make_error(Napi::Env env, const Failure& failure);

// What JavaScript threw, or is to throw. Error::Value() asks the thrown object for a property, which may be a Proxy's trap or
// an accessor that throws again, where nothing may be thrown any more.
Napi::Value thrown_value(const Napi::Error& error);
// An error with that value, of which node-addon-api can be asked.
Napi::Error carried(Napi::Env env, napi_value value);

template <class Body>
auto guard(Napi::Env env, const Body& body) -> decltype(body()) {
  Failure failure;
  try {
    try {
      return body();
    } catch (...) {
      failure = current_failure();
    }
  } catch (const Napi::Error& error) {
    throw carried(env, thrown_value(error));
  }
  throw carried(env, make_error(env, failure));
}

}  // namespace nasp
