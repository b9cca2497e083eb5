// new Session(options): the class of src/native.ts over native/net/session.h. Every method reads its arguments
// first (that may run JavaScript), then looks whether the session is open and idle, then acts.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "../net/session.h"
#include "addon_data.h"
#include "session_state.h"

namespace nasp {

class SessionWrap : public Napi::ObjectWrap<SessionWrap> {
 public:
  static Napi::Function define(Napi::Env env);

  explicit SessionWrap(const Napi::CallbackInfo& info);
  ~SessionWrap() override;

 private:
  using Step = std::function<StepResult(Session&, int ticket)>;

  Napi::Value tensors(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  void write(const Napi::CallbackInfo& info);
  Napi::Value queue(const Napi::CallbackInfo& info);
  Napi::Value load(const Napi::CallbackInfo& info);
  void discretise(const Napi::CallbackInfo& info);
  void set_mixture(const Napi::CallbackInfo& info);
  void set_bypass(const Napi::CallbackInfo& info);
  void skip_dropout(const Napi::CallbackInfo& info);
  void rebuild(const Napi::CallbackInfo& info);
  void combine(const Napi::CallbackInfo& info);
  Napi::Value norm(const Napi::CallbackInfo& info);
  void update_alpha(const Napi::CallbackInfo& info);
  Napi::Value architecture_gradient(const Napi::CallbackInfo& info);
  Napi::Value weight_step(const Napi::CallbackInfo& info);
  Napi::Value evaluate(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value device_counts(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  // The first argument is the ticket; read_arguments: what follows.
  Napi::Value start(const Napi::CallbackInfo& info, const std::function<Step()>& read_arguments);
  void describe_net(const Session& session, Napi::Object self);  // of a session just made or rebuilt
  std::size_t size_of(const std::string& name) const;
  void account();  // tells the garbage collector what the engine holds
  void close();

  napi_env env_;
  SupernetConfig config_;
  std::unordered_map<std::string, std::size_t> sizes_;
  std::shared_ptr<LiveSessions> live_;
  std::shared_ptr<SessionState> state_;
  std::int64_t accounted_ = 0;
};

}  // namespace nasp
