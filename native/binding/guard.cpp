#include "guard.h"

#include <new>
#include <stdexcept>

#include "../core/error.h"
#include "addon_data.h"

namespace nasp {
namespace {

// node-addon-api keeps a thrown value that is no object under this name in a plain object (Error::ERROR_WRAP_VALUE, which is
// private), and gives that value back.
constexpr char carried_name[] = "4bda9e7e-4913-4dbc-95de-891cbf66598e-errorVal";

// Whether JavaScript's answer is there; what it threw instead is forgotten.
bool answered(napi_env env, napi_status status) {
  if (status == napi_ok) return true;
  bool pending = false;
  napi_value ignored;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending)
    napi_get_and_clear_last_exception(env, &ignored);
  return false;
}

// An instance of the environment's error class, or a plain Error with a code where there is none.
napi_value make_error(Napi::Env env, const std::string& code, const std::string& message) {
  const AddonData* addon = env.GetInstanceData<AddonData>();
  if (addon && !addon->error_class.IsEmpty()) {
    try {
      const Napi::Value error =
          addon->error_class.New({Napi::String::New(env, code), Napi::String::New(env, message)});
      bool genuine = false;  // what a class returns from its constructor need not be
      if (napi_is_error(env, error, &genuine) == napi_ok && genuine) return error;
    } catch (const Napi::Error&) {
      // a class that cannot be constructed: a plain Error below
    }
  }
  Napi::Error error = Napi::Error::New(env, message);
  napi_set_named_property(env, error.Value(), "code", Napi::String::New(env, code));
  return error.Value();
}

// Without memory for the failure's own text; null where there is none for this one either.
napi_value out_of_memory(napi_env env) {
  napi_value code, text, error = nullptr;
  if (napi_create_string_utf8(env, "ERR_NASP_OUT_OF_MEMORY", NAPI_AUTO_LENGTH, &code) == napi_ok &&
      napi_create_string_utf8(env, "The engine is out of memory", NAPI_AUTO_LENGTH, &text) == napi_ok)
    napi_create_error(env, code, text, &error);
  return error;
}

napi_value current_error(Napi::Env env) {
  try {
    throw;
  } catch (const Napi::Error& error) {  // JavaScript's already
    return thrown_value(error);
  } catch (const Error& error) {
    return make_error(env, error.code, error.what());
  } catch (const std::bad_alloc&) {
    return make_error(env, "ERR_NASP_OUT_OF_MEMORY", "The engine could not get the memory it needs");
  } catch (const std::length_error&) {
    return make_error(env, "ERR_NASP_OUT_OF_MEMORY",
                      "The engine was asked for more memory than there can be");
  } catch (const std::exception& error) {
    return make_error(env, "ERR_NASP_INTERNAL", error.what());
  } catch (...) {
    return make_error(env, "ERR_NASP_INTERNAL", "The engine threw something unknown");
  }
}

}  // namespace

Napi::Value thrown_value(const Napi::Error& error) {
  const napi_env env = error.Env();
  const Napi::Value kept = static_cast<const Napi::Reference<Napi::Object>&>(error).Value();
  napi_value name, inner;
  bool carries = false;
  if (napi_create_string_utf8(env, carried_name, NAPI_AUTO_LENGTH, &name) == napi_ok &&
      answered(env, napi_has_own_property(env, kept, name, &carries)) && carries &&
      answered(env, napi_get_property(env, kept, name, &inner)))
    return {env, inner};
  return kept;
}

void rethrow(Napi::Env env) {
  napi_value value;
  try {
    value = current_error(env);
  } catch (const Napi::Error& error) {
    value = thrown_value(error);
  } catch (...) {
    value = out_of_memory(env);
  }
  // node-addon-api is to be asked for that value, whatever it is.
  Napi::Object carrier = Napi::Object::New(env);
  carrier.DefineProperty(Napi::PropertyDescriptor::Value(carried_name, value));
  throw Napi::Error(env, carrier);
}

}  // namespace nasp
