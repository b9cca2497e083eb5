#include "dataset_wrap.h"

#include "convert.h"
#include "guard.h"

namespace nasp {
namespace {

constexpr napi_type_tag tag = {0x6e61737064617461, 0x7365742d9c41f07b};

std::int64_t bytes_of(const Dataset& dataset) {
  return static_cast<std::int64_t>(dataset.images.size() + dataset.labels.size());
}

}  // namespace

Napi::Function DatasetWrap::define(Napi::Env env) { return DefineClass(env, "Dataset", {}); }

DatasetWrap::DatasetWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<DatasetWrap>(info), env_(info.Env()) {
  guard(info.Env(), [&] {
    auto dataset = std::make_shared<const Dataset>(to_dataset(info[0]));
    Napi::Object self = info.This().As<Napi::Object>();
    self.TypeTag(&tag);
    self.DefineProperty(Napi::PropertyDescriptor::Value(
        "count", Napi::Number::New(info.Env(), dataset->count), napi_enumerable));
    dataset_ = std::move(dataset);
    std::int64_t total;
    napi_adjust_external_memory(env_, bytes_of(*dataset_), &total);
  });
}

DatasetWrap::~DatasetWrap() {
  std::int64_t total;
  if (dataset_) napi_adjust_external_memory(env_, -bytes_of(*dataset_), &total);
}

std::shared_ptr<const Dataset> DatasetWrap::from(const Napi::Value& value, const char* name) {
  const bool ours = value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&tag);
  if (!ours) refuse(std::string("a Dataset for ") + name, describe(value));
  return Unwrap(value.As<Napi::Object>())->dataset_;
}

}  // namespace nasp
