#include "guard.h"

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

}  // namespace

Napi::Value make_error(Napi::Env env, const Failure& failure) {
  const AddonData* addon = env.GetInstanceData<AddonData>();
  if (addon && !addon->error_class.IsEmpty()) {
    try {
      const Napi::Value error = addon->error_class.New(
          {Napi::String::New(env, failure.code), Napi::String::New(env, failure.message)});
      bool genuine = false;  // what a class returns from its constructor need not be
      if (napi_is_error(env, error, &genuine) == napi_ok && genuine) return error;
    } catch (const Napi::Error&) {
      // a class that cannot be constructed: a plain Error below
    }
  }
  Napi::Error error = Napi::Error::New(env, failure.message);
  napi_set_named_property(env, error.Value(), "code", Napi::String::New(env, failure.code));
  return error.Value();
}

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

Napi::Error carried(Napi::Env env, napi_value value) {
  Napi::Object carrier = Napi::Object::New(env);
  carrier.DefineProperty(Napi::PropertyDescriptor::Value(carried_name, value));
  return {env, carrier};
}

}  // namespace nasp
