// The native test driver: the kernels and a search without Node, for the sanitizers.
//   driver ops      every operation, stride, affine and instruction set in double against central differences of
//                   <dy, y>, float against double, and the probe against <dy, y>
//   driver search   the threads alone; some NASP iterations on several of them, and the same bits from one
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "../backends/registry.h"
#include "../core/arena.h"
#include "../core/error.h"
#include "../core/parallel.h"
#include "../core/poison.h"
#include "../core/rng.h"
#include "../net/operation_run.h"
#include "../net/session.h"

using namespace nasp;

namespace {

int failures = 0;
std::uint64_t counter = 0;
double random_value() {
  const Random4 r = philox(7, static_cast<std::uint32_t>(Stream::user), 1, counter++);
  return normal(r.word[0], r.word[1]);
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
  return sum;
}
double largest(const std::vector<double>& a) {
  double m = 0;
  for (double v : a) m = std::max(m, std::fabs(v));
  return m;
}
void expect_near(const std::string& what, double got, double expected, double scale, double tolerance) {
  if (std::fabs(got - expected) <= tolerance * std::max(scale, 1e-12)) return;
  failures++;
  std::printf("%s: got %.12g, expected %.12g (off by %.1e of %.3g)\n", what.c_str(), got, expected,
              std::fabs(got - expected) / scale, scale);
}

void check_operation(const std::string& op, int stride, bool affine, bool training, int channels, int height,
                     int width, int batch, const std::string& isa) {
  OperationRequest r;
  r.op = op, r.stride = stride, r.affine = affine, r.training = training, r.search_pools = true;
  r.channels = channels, r.height = height, r.width = width, r.batch = batch, r.isa = isa, r.threads = 2;
  r.precision = Precision::f64;
  const int out_height = strided(height, stride), out_width = strided(width, stride);
  for (int i = 0; i < batch * channels * height * width; i++) r.x.push_back(random_value());
  for (int i = 0; i < batch * channels * out_height * out_width; i++) r.dy.push_back(random_value());
  for (const TensorInfo& t : operation_tensors(op, channels, stride, affine, true)) {
    NamedTensor p = {t.name, t.shape, {}};
    for (std::size_t i = 0; i < t.size(); i++)
      p.data.push_back(t.name.find("running_var") != std::string::npos ? 1 + .5 * std::fabs(random_value())
                                                                       : .5 * random_value());
    r.parameters.push_back(p);
  }
  const std::string name = op + " s" + std::to_string(stride) + (affine ? " affine" : "") +
                           (training ? "" : " eval") + " C" + std::to_string(channels) + " " +
                           std::to_string(height) + "x" + std::to_string(width) + " n" +
                           std::to_string(batch) + " " + isa;
  const OperationResult base = run_operation(r);
  expect_near(name + " probe", base.probe, dot(base.y, r.dy),
              std::sqrt(dot(base.y, base.y) * dot(r.dy, r.dy)), 1e-10);
  const auto difference = [&](double& value, double h) {
    const double kept = value;
    value = kept + h;
    const OperationResult up = run_operation(r);
    value = kept - h;
    const OperationResult down = run_operation(r);
    value = kept;
    return (dot(up.y, r.dy) - dot(down.y, r.dy)) / (2 * h);
  };
  for (int k = 0; k < 3; k++) {
    const std::size_t i = static_cast<std::size_t>(std::fabs(random_value()) * 1e6) % r.x.size();
    expect_near(name + " dx[" + std::to_string(i) + "]", base.dx[i], difference(r.x[i], 1e-6),
                largest(base.dx), 1e-5);
  }
  for (NamedTensor& p : r.parameters) {
    for (const NamedTensor& g : base.dw) {
      if (g.name != p.name) continue;
      const std::size_t i = static_cast<std::size_t>(std::fabs(random_value()) * 1e6) % p.data.size();
      expect_near(name + " dw " + p.name + "[" + std::to_string(i) + "]", g.data[i],
                  difference(p.data[i], 1e-6), largest(g.data), 1e-5);
    }
  }
  r.precision = Precision::f32;
  const OperationResult single = run_operation(r);
  double worst = 0;
  for (std::size_t i = 0; i < base.y.size(); i++) worst = std::max(worst, std::fabs(single.y[i] - base.y[i]));
  expect_near(name + " float y", worst, 0, largest(base.y), 1e-4);
  if (!has_bf16_probes(isa)) return;
  r.bf16_probes = true;
  expect_near(name + " bfloat16 probe", run_operation(r).probe, single.probe,
              std::sqrt(dot(base.y, base.y) * dot(r.dy, r.dy)), 2e-2);
}

// The sentinels that every operation case relies on: a byte past the end is found, the last byte inside is not.
void check_sentinels() {
  Arena arena(1 << 16, true);
  char* p = static_cast<char*>(arena.take(100));
  p[99] = 1;
  arena.check();
  if (poisons) {
    if (!is_poisoned(p + 99) && is_poisoned(p + 100)) return;
    failures++;
    std::printf("memory past the end of what was handed out is somebody's\n");
    return;
  }
  p[100] = 1;
  try {
    arena.check();
    failures++;
    std::printf("a write past the end of guarded memory was not found\n");
  } catch (const Error&) {
  }
}

// An arena gives no more than its plan; what does not count right is this package's error, not the machine's.
void check_overrun() {
  Arena arena(1 << 12, false);
  try {
    arena.take((1 << 12) + 1);
    std::printf("memory was handed out beyond an arena's plan\n");
  } catch (const Error& error) {
    if (error.code == "ERR_NASP_INTERNAL") return;
    std::printf("an arena's overrun is called %s\n", error.code.c_str());
  }
  failures++;
}

int check_operations() {
  int cases = 0;
  check_sentinels();
  check_overrun();
  for (const std::string& isa : available_isas()) {
    for (const OperationInfo& op : list_operations()) {
      for (int stride : {1, 2}) {
        check_operation(op.name, stride, false, true, 6, 6, 6, 5, isa);
        check_operation(op.name, stride, true, false, 4, 4, 8, 19, isa);
        check_operation(op.name, stride, true, true, 10, 2, 2, 3, isa);
        check_operation(op.name, stride, false, true, 4, 12, 10, 2, isa);
        // channels enough for Winograd, and for blocks of channels
        check_operation(op.name, stride, false, true, 20, 8, 12, 5, isa);
        check_operation(op.name, stride, true, true, 34, 8, 8, 3, isa);
        cases += 6;
      }
    }
  }
  std::printf("%d cases, %d failures\n", cases, failures);
  return failures ? 1 : 0;
}

// Every piece once, whatever their number; a body's exception reaches the caller; and while all threads are busy, each has
// taken from its own share.
void check_threads(int threads) {
  Parallel parallel(threads);
  const auto expect = [&](bool ok, const char* what, int run) {
    if (ok) return;
    failures++;
    std::printf("%d threads, run %d: %s\n", threads, run, what);
  };
  for (int run = 0; run < 2000; run++) {
    const int pieces = run % 40;
    std::vector<int> taken(static_cast<std::size_t>(pieces));
    parallel.run(pieces, [&](int piece, int) { taken[static_cast<std::size_t>(piece)]++; });
    expect(taken == std::vector<int>(taken.size(), 1), "not every piece was taken once", run);
    bool thrown = false;
    try {
      parallel.run(pieces, [&](int piece, int) {
        if (piece == pieces / 2) throw std::runtime_error("a body's");
      });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    expect(thrown == (pieces > 0), "an exception did not reach the caller", run);
    std::atomic<int> begun{0}, strayed{0};
    parallel.run(threads, [&](int piece, int thread) {
      strayed += piece != thread;
      begun++;
      while (begun.load() < threads) std::this_thread::yield();  // so that none helps another
    });
    expect(strayed == 0, "a thread began with another's share", run);
  }
}

// Final alpha and weights after some NASP iterations on random images.
std::vector<float> search(int threads) {
  SupernetConfig config;
  config.channels = 4, config.layers = 3, config.batch = 20, config.threads = threads, config.seed = 3;
  config.normal = {"skip_connect", "conv_3x1_1x3", "dil_conv_3x3", "conv_1x1",
                   "conv_3x3",     "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"};
  config.reduce = {"skip_connect", "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7"};
  auto session = make_session(config);
  auto dataset = std::make_shared<Dataset>();
  dataset->count = 40, dataset->mean = {.5, .5, .5}, dataset->std = {.25, .25, .25};
  for (int i = 0; i < 40 * 3 * 32 * 32; i++)
    dataset->images.push_back(
        static_cast<std::uint8_t>(philox(5, 9, 9, static_cast<std::uint64_t>(i)).word[0]));
  for (int i = 0; i < 40; i++) dataset->labels.push_back(static_cast<std::uint8_t>(i % 10));
  std::vector<std::uint32_t> first, second;
  for (std::uint32_t i = 0; i < 20; i++) first.push_back(i), second.push_back(20 + i);
  session->discretise({});
  for (int step = 0; step < 3; step++) {
    const Augment augment = {4, true, 8, 1, static_cast<std::uint64_t>(step) * 64};
    const int valid = session->queue(dataset, first, augment),
              train = session->queue(dataset, second, augment);
    session->architecture_gradient(valid, {});
    AlphaUpdate update;
    update.lr = .05;
    session->update_alpha(update);
    session->weight_step(train, {});
  }
  session->evaluate(session->queue(dataset, first, {}), false);
  std::vector<float> all;
  for (const TensorInfo& t : session->tensors()) {
    std::vector<float> v(t.size());
    session->read(t.name, v.data());
    all.insert(all.end(), v.begin(), v.end());
  }
  return all;
}

int check_search() {
  for (int threads : {2, 3, 5}) check_threads(threads);
  const std::vector<float> one = search(1), three = search(3);
  const bool same =
      one.size() == three.size() && std::memcmp(one.data(), three.data(), one.size() * sizeof(float)) == 0;
  std::printf("search on 1 and 3 threads: %s\n", same ? "the same bits" : "different bits");
  return same && failures == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "";
  try {
    if (what == "ops") return check_operations();
    if (what == "search") return check_search();
  } catch (const Error& e) {
    std::printf("%s: %s\n", e.code.c_str(), e.what());
    return 1;
  }
  std::printf("usage: driver ops|search\n");
  return 2;
}
