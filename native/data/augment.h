// Images of a data set as planes (C, H, W) of scalars, by the training transform of quark0/darts:
//
//   crop      a window of the image's size from the image with `pad` pixels of 0 around it, at a row and a column
//             uniform in 0 .. 2 * pad (padded before normalisation: a padded pixel is (0 - mean) / std)
//   flip      left to right, with probability 1/2
//   normalise (pixel / 255 - mean) / std, a channel
//   cutout    a square of zeros after normalisation: rows y - side / 2 .. y + side / 2 - 1 round a centre uniform in
//             the image, columns alike, cut off at the border (an odd side is taken as side - 1)
//
// Draws   philox(seed, Stream::augment, substream, counter + position): substream 0: word 0 crop row, word 1 crop
//         column, word 2 flip (top bit), word 3 spare; substream 1: word 0 the cutout's row, word 1 its column.
//         An image's draws depend on nothing but its position, so batches can be prepared in any order.
#pragma once
#include <cstdint>

#include "../core/augment.h"
#include "dataset.h"

namespace nasp {

// Throw Error where the options contradict themselves or the data set. Call them before augment_image.
void check_augment(const Dataset& dataset, const Augment& augment);
void check_indices(const Dataset& dataset, const std::uint32_t* indices, int count);

// Image `index` of the data set as the batch's image at `position`. planes (C, H, W)
template <class S>
void augment_image(const Dataset& dataset, std::uint32_t index, const Augment& augment, int position,
                   S* planes);

// planes (count, C, H, W), labels (count)
template <class S>
void augment_batch(const Dataset& dataset, const std::uint32_t* indices, int count, const Augment& augment,
                   S* planes, int* labels);

}  // namespace nasp
