// The kinds of values; the engine's structs are in convert_structs.cpp.
#include "convert.h"

#include <algorithm>
#include <cmath>

namespace nasp {
namespace {

const char* typed_array_name(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
      return "Int8Array";
    case napi_uint8_array:
      return "Uint8Array";
    case napi_uint8_clamped_array:
      return "Uint8ClampedArray";
    case napi_int16_array:
      return "Int16Array";
    case napi_uint16_array:
      return "Uint16Array";
    case napi_int32_array:
      return "Int32Array";
    case napi_uint32_array:
      return "Uint32Array";
    case napi_float32_array:
      return "Float32Array";
    case napi_float64_array:
      return "Float64Array";
    case napi_bigint64_array:
      return "BigInt64Array";
    case napi_biguint64_array:
      return "BigUint64Array";
    default:
      return "typed array";
  }
}

template <class T>
constexpr napi_typedarray_type typed_array_type = napi_uint8_array;
template <>
constexpr napi_typedarray_type typed_array_type<float> = napi_float32_array;
template <>
constexpr napi_typedarray_type typed_array_type<double> = napi_float64_array;
template <>
constexpr napi_typedarray_type typed_array_type<std::uint32_t> = napi_uint32_array;
template <>
constexpr napi_typedarray_type typed_array_type<std::int32_t> = napi_int32_array;

}  // namespace

std::string describe(const Napi::Value& value) {
  if (value.IsEmpty() || value.IsUndefined()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsBoolean()) return value.As<Napi::Boolean>() ? "true" : "false";
  if (value.IsNumber()) return number_text(value.As<Napi::Number>().DoubleValue());
  if (value.IsString()) {
    char text[81];  // as many whole characters as there is room for
    std::size_t whole = 0, copied = 0;
    napi_get_value_string_utf8(value.Env(), value, nullptr, 0, &whole);
    napi_get_value_string_utf8(value.Env(), value, text, sizeof text, &copied);
    std::string shown(1, '"');
    shown.append(text, copied);
    return shown.append(copied < whole ? "...\"" : "\"");
  }
  if (value.IsTypedArray()) {
    const Napi::TypedArray array = value.As<Napi::TypedArray>();
    return std::string("a ") + typed_array_name(array.TypedArrayType()) + " of " +
           std::to_string(array.ElementLength());
  }
  if (value.IsArray()) return "an array";
  if (value.IsFunction()) return "a function";
  if (value.IsSymbol()) return "a symbol";
  if (value.IsBigInt()) return "a bigint";
  return "an object";
}

double to_finite(const Napi::Value& value, const std::string& name) {
  if (!value.IsNumber()) refuse("a number for " + name, describe(value));
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!std::isfinite(number)) refuse("a finite number for " + name, describe(value));
  return number;
}

double to_integer(const Napi::Value& value, const std::string& name, double low, double high) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= low && number <= high) || number != std::floor(number))
    refuse((low == least_int ? "an integer"
                             : "an integer from " + number_text(low) + " to " +
                                   (high == safe_integer ? "2^53 - 1" : number_text(high))) +
               " for " + name,
           describe(value));
  return number;
}

int to_int(const Napi::Value& value, const std::string& name) {
  return static_cast<int>(to_integer(value, name, least_int, most_int));
}

bool to_flag(const Napi::Value& value, const std::string& name) {
  if (!value.IsBoolean()) refuse("true or false for " + name, describe(value));
  return value.As<Napi::Boolean>();
}

std::string to_text(const Napi::Value& value, const std::string& name) {
  constexpr std::size_t most = 1000;  // bytes; no name is as long, and one of gigabytes makes no message
  std::size_t size = 0;
  if (!value.IsString()) refuse("a string for " + name, describe(value));
  napi_get_value_string_utf8(value.Env(), value, nullptr, 0, &size);
  if (size > most) refuse("a string of at most 1000 bytes for " + name, describe(value));
  return value.As<Napi::String>();
}

Napi::Array to_array(const Napi::Value& value, const std::string& name, std::uint32_t most) {
  if (!value.IsArray()) refuse("an array for " + name, describe(value));
  const Napi::Array array = value.As<Napi::Array>();
  if (array.Length() > most)
    refuse("at most " + std::to_string(most) + " entries for " + name, std::to_string(array.Length()));
  return array;
}

template <class T>
std::span<const T> to_span(const Napi::Value& value, const std::string& name) {
  const bool fits =
      value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == typed_array_type<T>;
  if (!fits)
    refuse(std::string("a ") + typed_array_name(typed_array_type<T>) + " for " + name, describe(value));
  void* data = nullptr;
  std::size_t size = 0;
  if (napi_get_typedarray_info(value.Env(), value, nullptr, &size, &data, nullptr, nullptr) != napi_ok)
    refuse("a readable typed array for " + name, describe(value));
  if (data == nullptr) size = 0;  // its buffer was transferred elsewhere
  return {static_cast<const T*>(data), size};
}

template std::span<const float> to_span(const Napi::Value&, const std::string&);
template std::span<const double> to_span(const Napi::Value&, const std::string&);
template std::span<const std::uint8_t> to_span(const Napi::Value&, const std::string&);
template std::span<const std::uint32_t> to_span(const Napi::Value&, const std::string&);
template std::span<const std::int32_t> to_span(const Napi::Value&, const std::string&);

std::vector<double> to_doubles(const Napi::Value& value, const std::string& name) {
  const std::span<const double> span = to_span<double>(value, name);
  return {span.begin(), span.end()};
}

Napi::Object to_object(const Napi::Value& value, const std::string& name) {
  if (!value.IsObject() || value.IsFunction()) refuse("an object for " + name, describe(value));
  return value.As<Napi::Object>();
}

Fields::Fields(const Napi::Value& value, const std::string& name)
    : object_(to_object(value, name.empty() ? "options" : name)), prefix_(name.empty() ? "" : name + ".") {}

int Fields::integer_or(const char* field, int otherwise) const {
  const Napi::Value value = get(field);
  return value.IsUndefined() ? otherwise : to_int(value, name(field));
}

std::uint64_t Fields::counter(const char* field) const {
  return static_cast<std::uint64_t>(to_integer(get(field), name(field), 0, safe_integer));
}

bool Fields::flag_or(const char* field, bool otherwise) const {
  const Napi::Value value = get(field);
  return value.IsUndefined() ? otherwise : to_flag(value, name(field));
}

std::string Fields::text_or(const char* field, const std::string& otherwise) const {
  const Napi::Value value = get(field);
  return value.IsUndefined() ? otherwise : to_text(value, name(field));
}

std::size_t Fields::choice(const char* field, std::initializer_list<const char*> names) const {
  const Napi::Value value = get(field);
  const std::string given = value.IsString() ? to_text(value, name(field)) : "";
  std::string all;
  std::size_t place = 0;
  for (const char* choice : names) {
    if (given == choice) return place;
    all += (place++ ? ", \"" : "\"") + std::string(choice) + "\"";
  }
  refuse("one of " + all + " for " + name(field), describe(value));
}

std::vector<double> Fields::numbers(const char* field, std::uint32_t most) const {
  const Napi::Array array = to_array(get(field), name(field), most);
  std::vector<double> numbers;
  for (std::uint32_t i = 0; i < array.Length() && i < most; i++)
    numbers.push_back(to_finite(array.Get(i), name(field) + "[" + std::to_string(i) + "]"));
  return numbers;
}

std::vector<std::string> Fields::texts(const char* field, std::uint32_t most) const {
  const Napi::Array array = to_array(get(field), name(field), most);
  std::vector<std::string> texts;
  for (std::uint32_t i = 0; i < array.Length() && i < most; i++)
    texts.push_back(to_text(array.Get(i), name(field) + "[" + std::to_string(i) + "]"));
  return texts;
}

void Fields::expect_no_others() const {
  napi_value names;
  const napi_status status =
      napi_get_all_property_names(object_.Env(), object_, napi_key_own_only,
                                  static_cast<napi_key_filter>(napi_key_enumerable | napi_key_skip_symbols),
                                  napi_key_numbers_to_strings, &names);
  if (status != napi_ok) throw Napi::Error::New(object_.Env());
  const Napi::Array given(object_.Env(), names);
  for (std::uint32_t i = 0; i < given.Length(); i++) {
    const Napi::Value field = given.Get(i);
    const std::string text = field.As<Napi::String>();
    const auto is_it = [&](const char* asked) { return text == asked; };
    if (std::any_of(asked_.begin(), asked_.end(), is_it) || object_.Get(field).IsUndefined()) continue;
    std::string all;
    for (const char* asked : asked_) all += (all.empty() ? "" : ", ") + std::string(asked);
    refuse("only the fields " + all + " of " +
               (prefix_.empty() ? "options" : prefix_.substr(0, prefix_.size() - 1)),
           describe(field));
  }
}

}  // namespace nasp
