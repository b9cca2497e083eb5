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

template <class Body>
auto guard(Napi::Env env, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    const Failure failure = current_failure();
    throw Napi::Error(env, make_error(env, failure));
  }
}

}  // namespace nasp
