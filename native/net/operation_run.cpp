// By the same chain that a cell runs.
#include "operation_run.h"

#include <algorithm>
#include <memory>

#include "../core/clock.h"
#include "../core/parallel.h"
#include "../backends/device.h"
#include "../backends/registry.h"
#include "../backends/workspace.h"
#include "chain.h"
#include "supernet_config.h"

namespace nasp {

namespace {

template <class S>
std::vector<S> converted(const std::vector<double>& v) {
  return std::vector<S>(v.begin(), v.end());
}

constexpr char wrong_shape[] = "ERR_NASP_SHAPE";

// A chain with its parameters, ready for passes over one input.
template <class S>
struct Bench {
  const OperationRequest& request;
  const Backend<S>& backend;
  Parallel parallel;
  Workspace workspace;
  std::unique_ptr<Device> device;  // before what lies in its memory
  Parameters<S> parameters;
  Chain<S> chain;
  Store<double> product;
  int out_height, out_width;
  Arena arena;
  View<S> x, dy, dx, z;
  Pass<S> pass;

  Bench(const OperationRequest& r, bool guarded)
      : request(r),
        backend(nasp::backend<S>(r.isa)),
        parallel(r.threads),
        workspace(parallel.threads()),
        chain(make_operation(r.op, r.channels, r.stride, r.search_pools), parameters, "", r.affine),
        out_height(strided(r.height, r.stride)),
        out_width(strided(r.width, r.stride)),
        arena(reserve(guarded), guarded, open(reserve(guarded)).memory()),
        pass{backend,      {parallel, workspace, r.batch, device->handle()},
             arena,        parameters,
             r.training,   true,
             r.bf16_probes} {
    chain.prepare(backend, parameters);
    parameters.reserve_zeros(r.channels);
    parameters.allocate(0, device->memory());
    product.allocate(1, device->memory());
    for (View<S>* v : {&x, &dx}) *v = pass.take(r.channels, r.height, r.width);
    for (View<S>* v : {&dy, &z}) *v = pass.take(r.channels, out_height, out_width);
  }
  const Device& open(std::size_t bytes) {
    const std::size_t x = backend.size(request.batch, request.channels, request.height, request.width);
    device = std::make_unique<Device>(backend.device, DevicePlan{x, bytes, request.batch, x, 0});
    return *device;
  }
  std::size_t reserve(bool guarded) const {
    const auto& r = request;
    ArenaCount<S> count(backend, r.batch, guarded);
    for (int i = 0; i < 2; i++) {  // x, dx; dy, z
      count.take(r.channels, r.height, r.width);
      count.take(r.channels, out_height, out_width);
    }
    Chain<S>::count_propagate(count, {&chain}, r.height, r.width);
    Chain<S>::count_probe(count, {{&chain}}, r.channels, r.height, r.width);
    Chain<S>::count_backward(count, {{&chain}}, r.channels, r.height, r.width);
    return count.peak();
  }
  Source<S> source() const { return {x, {}}; }
  std::vector<double> values(const S* from, std::size_t count) const {
    std::vector<S> read(count);
    parameters.read(read.data(), from, count);
    return {read.begin(), read.end()};
  }
  void forward() {
    Chain<S>* one = &chain;
    Chain<S>::propagate(pass, source(), &one, 1);
  }
  // z = the output, normalised: in a net its node's sum does that.
  void normalise() {
    const Term<S> term = {chain.output(), S(1)};
    backend.node_sum(pass.run, z, &term, chain.operation().zero ? 0 : 1);
  }
  double probe() {
    const typename Chain<S>::Probe one = {&chain, dy, product.data()};
    parameters.memory().fill_at(product.data(), 0, sizeof(double));
    Chain<S>::probe(pass, source(), &one, 1);
    double found = 0;
    parameters.memory().read_at(&found, product.data(), sizeof(double));
    return found;
  }
  void backward() {
    const typename Chain<S>::Backward one = {&chain, dy, S(1), product.data()};
    Gradient<S> to = {dx};
    Chain<S>::backward(pass, {{one}}, to);
  }
  void operation(const std::string& name) {
    if (name == "probe") probe();
    if (name == "forward" || name == "both") forward(), normalise();
    if (name == "backward" || name == "both") backward();
  }
  // x normalised into a node's sum; the sums of g and g * y. The rest of BatchNorm lies within what units load and store.
  void batch_norm(const std::string& name) {
    const std::vector<S> zeros(static_cast<std::size_t>(request.channels)), ones(zeros.size(), S(1));
    if (name == "forward") {
      const Term<S> term = {{x, {zeros.data(), ones.data(), zeros.data()}}, S(1)};
      backend.node_sum(pass.run, z, &term, 1);
    } else {
      std::vector<Moments> moments(zeros.size());
      const Measured<S> measured = {moments.data(), x, zeros.data()};
      backend.gradient_sums(pass.run, dy, &measured, 1);
    }
  }
  void check() { device->check(); }
  void wait() {  // for all that has been asked of a device
    double last = 0;
    parameters.memory().read_at(&last, product.data(), sizeof(last));
    check();
  }
};

void check_stride(int stride) {
  expect(stride == 1 || stride == 2, "1 or 2 for stride", std::to_string(stride), wrong_shape);
}
void check_size(const char* name, int size) {
  expect(size >= 1 && size <= 65536, std::string("a whole number from 1 to 65536 for ") + name,
         std::to_string(size), wrong_shape);
}
void check(const OperationRequest& r) {
  check_stride(r.stride);
  for (auto [name, size] :
       {std::pair{"channels", r.channels}, {"height", r.height}, {"width", r.width}, {"batch", r.batch}})
    check_size(name, size);
  check_probes(r.bf16_probes, r.precision, r.isa);
  const double values = static_cast<double>(r.channels) * r.height * r.width * r.batch;
  expect(values <= 1e9, "at most 1e9 values for x", number_text(values), wrong_shape);
}
void check_values(const std::string& name, std::size_t received, std::size_t expected) {
  expect(received == expected, std::to_string(expected) + " values for " + name, std::to_string(received),
         wrong_shape);
}

template <class S>
OperationResult run(const OperationRequest& r) {
  check(r);
  const std::size_t n = static_cast<std::size_t>(r.batch) * r.channels;
  check_values("x", r.x.size(), n * r.height * r.width);
  check_values("dy", r.dy.size(), n * strided(r.height, r.stride) * strided(r.width, r.stride));
  Bench<S> b(r, true);
  for (const NamedTensor& t : r.parameters) {
    bool found = false;
    const auto take = [&](const Slot& s, S* to) {
      if (s.name != t.name) return;
      check_values(t.name, t.data.size(), s.size);
      const std::vector<S> values = converted<S>(t.data);
      b.parameters.write(to, values.data(), values.size());
      found = true;
    };
    for (std::size_t i = 0; i < b.parameters.slots().size(); i++)
      take(b.parameters.slots()[i], b.parameters.value(static_cast<int>(i)));
    for (std::size_t i = 0; i < b.parameters.buffers().size(); i++)
      take(b.parameters.buffers()[i], b.parameters.buffer(static_cast<int>(i)));
    expect(found, "a parameter of " + r.op, t.name, "ERR_NASP_UNKNOWN_TENSOR");
  }
  b.backend.load(b.pass.run, b.x, converted<S>(r.x).data());
  b.backend.load(b.pass.run, b.dy, converted<S>(r.dy).data());

  OperationResult result;
  result.y_shape = {r.batch, r.channels, b.out_height, b.out_width};
  // the probe first, on statistics of its own, so that the buffers afterwards are of one forward
  {
    const KeptBuffers<S> kept(b.parameters, true);
    result.probe = b.probe();
  }

  b.forward();
  b.normalise();
  std::vector<S> out(r.dy.size());
  b.backend.store(b.pass.run, out.data(), b.z);
  result.y.assign(out.begin(), out.end());
  if (b.chain.operation().zero) b.backend.add(b.pass.run, b.dx, Write::overwrite, {}, S(0));
  b.backward();
  b.check();
  b.arena.check();
  out.resize(r.x.size());
  b.backend.store(b.pass.run, out.data(), b.dx);
  b.check();
  result.dx.assign(out.begin(), out.end());
  for (std::size_t i = 0; i < b.parameters.slots().size(); i++) {
    const Slot& s = b.parameters.slots()[i];
    result.dw.push_back({s.name, s.shape, b.values(b.parameters.gradient(static_cast<int>(i)), s.size)});
  }
  for (std::size_t i = 0; i < b.parameters.buffers().size(); i++) {
    const Slot& s = b.parameters.buffers()[i];
    result.buffers.push_back({s.name, s.shape, b.values(b.parameters.buffer(static_cast<int>(i)), s.size)});
  }
  return result;
}

template <class S>
std::vector<double> time(const OperationRequest& r, const std::string& pass, int repeats,
                         const std::atomic<bool>& stop) {
  check(r);
  expect(pass == "forward" || pass == "probe" || pass == "backward" || pass == "both",
         "forward, probe, backward or both for pass", pass);
  const bool norm = r.op == "batch_norm";
  if (norm) {
    expect(pass == "forward" || pass == "backward", "forward or backward for pass of batch_norm", pass);
    expect(r.stride == 1, "1 for stride of batch_norm", std::to_string(r.stride), wrong_shape);
  }
  OperationRequest timed = r;
  if (norm) timed.op = "skip_connect";  // without units
  Bench<S> b(timed, false);
  expect(!norm || !b.backend.device, "the CPU for batch_norm", b.backend.name, "ERR_NASP_UNSUPPORTED");
  std::uint64_t counter = 0;
  const auto random = [&](View<S> v) {
    std::vector<S> values(static_cast<std::size_t>(r.batch) * v.channels * v.height * v.width);
    for (S& x : values) {
      const Random4 w = philox(1, static_cast<std::uint32_t>(Stream::user), 0, counter++);
      x = static_cast<S>(normal(w.word[0], w.word[1]));
    }
    b.backend.load(b.pass.run, v, values.data());
  };
  random(b.x);
  random(b.dy);
  const std::size_t mark = b.arena.mark();
  std::vector<double> seconds;
  for (int i = 0; i < repeats; i++) {
    if (stop) throw Error("ERR_NASP_ABORTED", "The timing was cancelled");
    b.arena.rewind(mark);
    for (Slot& s : b.parameters.slots()) s.version++;  // as after a step on the weights: they are packed anew
    if (pass == "backward") {
      b.forward();
      b.wait();
    }
    const auto start = Clock::now();
    if (norm)
      b.batch_norm(pass);
    else
      b.operation(pass);
    b.wait();
    seconds.push_back(seconds_since(start));
  }
  return seconds;
}

}  // namespace

OperationResult run_operation(const OperationRequest& r) {
  return r.precision == Precision::f64 ? run<double>(r) : run<float>(r);
}

std::vector<double> time_operation(const OperationRequest& r, const std::string& pass, int repeats,
                                   const std::atomic<bool>& stop) {
  return r.precision == Precision::f64 ? time<double>(r, pass, repeats, stop)
                                       : time<float>(r, pass, repeats, stop);
}

std::vector<OperationInfo> list_operations() {
  std::vector<OperationInfo> list;
  for (const OperationName& n : operation_names()) {
    OperationInfo info = {n.name, {}};
    const std::string aliases = n.aliases;
    for (std::size_t from = 0; from < aliases.size();) {
      const std::size_t to = std::min(aliases.find(' ', from), aliases.size());
      info.aliases.push_back(aliases.substr(from, to - from));
      from = to + 1;
    }
    list.push_back(std::move(info));
  }
  return list;
}

OperationCost operation_cost(const std::string& op, int channels, int size, int stride) {
  check_size("channels", channels);
  check_size("size", size);
  check_stride(stride);
  return operation_cost(make_operation(op, channels, stride, true), size, size);
}

std::vector<TensorInfo> operation_tensors(const std::string& op, int channels, int stride, bool affine,
                                          bool search_pools) {
  check_size("channels", channels);
  check_stride(stride);
  Parameters<float> parameters;
  Chain<float> chain(make_operation(op, channels, stride, search_pools), parameters, "", affine);
  std::vector<TensorInfo> infos;
  for (const Slot& s : parameters.slots()) infos.push_back({s.name, "parameter", s.shape});
  for (const Slot& s : parameters.buffers()) infos.push_back({s.name, "buffer", s.shape});
  return infos;
}

}  // namespace nasp
