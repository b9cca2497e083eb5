// JavaScript values to the engine's plain structs and back. Reading checks kinds, and the lengths that it goes by itself: what
// else is wrong the engine refuses. Error ERR_NASP_ARGUMENT names the field, the expectation and the value. Reading may run
// JavaScript (getters), so callers read everything first and look at their own state afterwards.
#pragma once
#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "../core/error.h"
#include "../data/dataset.h"
#include "../net/operation_run.h"
#include "../net/session.h"

namespace nasp {

constexpr double safe_integer = 9007199254740991.0;  // 2^53 - 1
constexpr double least_int = -2147483648.0, most_int = 2147483647.0;

std::string describe(const Napi::Value& value);  // for messages: 1.5, "text", a Float32Array of 3, undefined

double to_finite(const Napi::Value& value, const std::string& name);
double to_integer(const Napi::Value& value, const std::string& name, double low, double high);
int to_int(const Napi::Value& value, const std::string& name);
bool to_flag(const Napi::Value& value, const std::string& name);
std::string to_text(const Napi::Value& value, const std::string& name);
Napi::Object to_object(const Napi::Value& value, const std::string& name);
Napi::Array to_array(const Napi::Value& value, const std::string& name, std::uint32_t most);  // entries
std::vector<double> to_doubles(const Napi::Value& value, const std::string& name);  // a Float64Array, copied

// The typed array's own memory and length: valid until JavaScript runs again.
template <class T>  // float, double, uint8_t, uint32_t, int32_t
std::span<const T> to_span(const Napi::Value& value, const std::string& name);

// The fields of an options object, each by its name.
class Fields {
 public:
  Fields(const Napi::Value& value, const std::string& name);
  Napi::Value get(const char* field) const {
    asked_.push_back(field);
    return object_.Get(field);
  }
  std::string name(const char* field) const { return prefix_ + field; }

  int integer(const char* field) const { return to_int(get(field), name(field)); }
  std::uint64_t counter(const char* field) const;
  double finite(const char* field) const { return to_finite(get(field), name(field)); }
  bool flag(const char* field) const { return to_flag(get(field), name(field)); }
  bool flag_or(const char* field, bool otherwise) const;  // otherwise: where it is undefined
  int integer_or(const char* field, int otherwise) const;
  std::string text(const char* field) const { return to_text(get(field), name(field)); }
  std::string text_or(const char* field, const std::string& otherwise) const;
  std::size_t choice(const char* field, std::initializer_list<const char*> names) const;  // which of them
  std::vector<double> numbers(const char* field, std::uint32_t most) const;
  std::vector<std::string> texts(const char* field, std::uint32_t most) const;
  // Refuses a property that nothing above has asked for, unless it is undefined.
  void expect_no_others() const;

 private:
  Napi::Object object_;
  std::string prefix_;
  mutable std::vector<const char*> asked_;
};

SupernetConfig to_supernet_config(const Napi::Value& value);
Dataset to_dataset(const Napi::Value& value);
Augment to_augment(const Napi::Value& value);
Discretise to_discretise(const Napi::Value& value, const std::string& name);
std::vector<Use> to_uses(const Napi::Value& value, const std::string& name);
GradientOptions to_gradient_options(const Napi::Value& value);  // undefined: the defaults
AlphaUpdate to_alpha_update(const Napi::Value& value);
WeightUpdate to_weight_update(const Napi::Value& value);
std::vector<WeightTerm> to_weight_terms(const Napi::Value& value, const std::string& name);
OperationRequest to_operation_request(const Napi::Value& value, bool with_values);

Napi::Object from_supernet_config(Napi::Env env, const SupernetConfig& config);
Napi::Array from_tensor_infos(Napi::Env env, const std::vector<TensorInfo>& infos);
Napi::Array from_strings(Napi::Env env, const std::vector<std::string>& names);
Napi::Array from_numbers(Napi::Env env, const std::vector<double>& numbers);
Napi::Float64Array from_doubles(Napi::Env env, const std::vector<double>& values);
Napi::Object from_step_result(Napi::Env env, const StepResult& result);
Napi::Object from_operation_result(Napi::Env env, const OperationResult& result);

}  // namespace nasp
