// new Dataset({images, labels, ...}): the engine's own copy, shared with the sessions that have batches of it queued.
#pragma once
#include <napi.h>

#include <memory>

#include "../data/dataset.h"

namespace nasp {

class DatasetWrap : public Napi::ObjectWrap<DatasetWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  // Refuses everything that `new Dataset` did not make.
  static std::shared_ptr<const Dataset> from(const Napi::Value& value, const char* name);

  explicit DatasetWrap(const Napi::CallbackInfo& info);
  ~DatasetWrap() override;

 private:
  napi_env env_;
  std::shared_ptr<const Dataset> dataset_;
};

}  // namespace nasp
