// The batches of a session: prepared by the loader's thread (or, on a device that holds the data set, in the step) or given
// by value, each under a ticket until a step has used it. At most 8 at a time.
#pragma once
#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../core/clock.h"
#include "../core/error.h"
#include "../data/augment.h"
#include "../data/batch_loader.h"
#include "supernet_config.h"

namespace nasp {

template <class S>
struct StepBatch {
  bool used = false;
  bool loading = false;  // by the loader: `job` is to be waited for
  int ticket = 0;        // 0: no step may ask for it, since it is not filled yet
  BatchLoader::Ticket job = 0;
  int count = 0;
  std::vector<S> planes;  // (count, C, H, W), filled by the loader's thread
  std::vector<int> targets;
  std::shared_ptr<const Dataset> dataset;  // what the step prepares the batch from; null: planes and targets
  std::vector<std::uint32_t> indices;
  Augment augment;
  double prepare_seconds = 0;  // on the loader's thread, until a step has told them
};

template <class S>
class StepBatches {
 public:
  // in_step: queued batches are prepared by the steps that use them.
  StepBatches(const SupernetConfig& config, bool in_step)
      : most_(config.batch),
        classes_(config.classes),
        image_channels_(config.image_channels),
        image_size_(config.image_size) {
    if (!in_step) loader_.emplace();
  }

  // A ticket for images of a data set, which is kept until they are prepared; load: for a batch by value, x (count, C, H, W),
  // which is copied. Throw Error, ERR_NASP_BUSY where no place is free; the batch then takes none. A step may be running.
  int queue(std::shared_ptr<const Dataset> dataset, std::vector<std::uint32_t> indices,
            const Augment& augment) {
    check_count(indices.size());
    check_indices(*dataset, indices.data(), static_cast<int>(indices.size()));
    check_augment(*dataset, augment);
    const auto image = [](int channels, int height, int width) {
      return std::to_string(channels) + " x " + std::to_string(height) + " x " + std::to_string(width);
    };
    expect(dataset->channels == image_channels_ && dataset->height == image_size_ &&
               dataset->width == image_size_,
           "images of " + image(image_channels_, image_size_, image_size_),
           image(dataset->channels, dataset->height, dataset->width));
    for (std::uint32_t i : indices)
      expect(dataset->labels[i] < classes_, "labels below " + std::to_string(classes_),
             std::to_string(dataset->labels[i]));
    return put(static_cast<int>(indices.size()), [&](StepBatch<S>& batch) {
      batch.augment = augment;
      if (!loader_) {
        batch.dataset = std::move(dataset), batch.indices = std::move(indices);
        return;
      }
      make_room(batch);
      batch.loading = true;
      batch.job =
          loader_->submit([&batch, dataset = std::move(dataset), indices = std::move(indices), augment] {
            const auto start = Clock::now();
            augment_batch(*dataset, indices.data(), batch.count, augment, batch.planes.data(),
                          batch.targets.data());
            batch.prepare_seconds = seconds_since(start);
          });
    });
  }

  int load(const S* x, const std::vector<int>& targets) {
    check_count(targets.size());
    for (std::size_t i = 0; i < targets.size(); i++)
      expect(targets[i] >= 0 && targets[i] < classes_,
             "a class from 0 to " + std::to_string(classes_ - 1) + " for targets[" + std::to_string(i) + "]",
             std::to_string(targets[i]));
    return put(static_cast<int>(targets.size()), [&](StepBatch<S>& batch) {
      make_room(batch);
      std::copy(x, x + image_values() * targets.size(), batch.planes.begin());
      std::copy(targets.begin(), targets.end(), batch.targets.begin());
    });
  }

  // The ticket's batch, which stays where it is until it is freed; ready() before it is used: waits for the loader, and throws
  // what that threw.
  void ready(const StepBatch<S>& batch) {
    if (batch.loading) loader_->wait(batch.job);
  }
  StepBatch<S>& of(int ticket) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (StepBatch<S>& b : batches_) {
      if (ticket > 0 && b.ticket == ticket) return b;
    }
    refuse("the ticket of a queued batch", std::to_string(ticket));
  }
  // Gives the place to the next batch, and up the ticket; the memory is kept.
  void free(StepBatch<S>& batch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    batch.dataset.reset();
    batch.ticket = 0;
    batch.used = false;
  }

  std::size_t bytes() const {
    std::size_t n = 0;
    for (const StepBatch<S>& b : batches_) n += b.planes.size() * sizeof(S) + b.targets.size() * sizeof(int);
    return n;
  }

 private:
  std::size_t image_values() const {
    return static_cast<std::size_t>(image_channels_) * image_size_ * image_size_;
  }

  void make_room(StepBatch<S>& batch) {
    batch.planes.resize(static_cast<std::size_t>(most_) * image_values());
    batch.targets.resize(static_cast<std::size_t>(most_));
  }

  void check_count(std::size_t images) const {
    expect(images >= 1 && images <= static_cast<std::size_t>(most_),
           "1 to " + std::to_string(most_) + " images for a batch", std::to_string(images));
  }

  // A slot that fill(batch) has filled, under a ticket.
  template <class Fill>
  int put(int count, const Fill& fill) {
    StepBatch<S>& batch = reserve(count);
    try {
      fill(batch);
    } catch (...) {
      free(batch);
      throw;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    return batch.ticket = ++tickets_;
  }

  StepBatch<S>& reserve(int count) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (StepBatch<S>& b : batches_) {
      if (b.used) continue;
      b.used = true;
      b.loading = false;
      b.count = count;
      b.prepare_seconds = 0;
      return b;
    }
    refuse("at most " + std::to_string(batches_.size()) + " batches to be outstanding",
           "another; give their tickets to steps first", "ERR_NASP_BUSY");
  }

  int most_, classes_, image_channels_, image_size_;
  std::mutex mutex_;
  std::array<StepBatch<S>, 8> batches_;
  int tickets_ = 0;
  // None: steps prepare queued batches. Last: its thread writes to the batches, and ends before they do.
  std::optional<BatchLoader> loader_;
};

}  // namespace nasp
