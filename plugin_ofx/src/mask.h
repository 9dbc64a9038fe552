// What a mask leaves out stays source.
#pragma once

#include <optional>

#include "image.h"

namespace inbetween {

// The output holds the made picture. Where the mask is 0 and outside of it, the source takes its
// place, bit by bit; where it is between 0 and 1, a linear mix of the pixels as they stand. The
// mask is the alpha of its image, or the luminance where that has no alpha; without an image, as
// outside of one, it is 0. Inside `window` only.
void restore_source(const std::optional<Image>& mask, const Image& source, const Image& output,
                    OfxRectI window);

}  // namespace inbetween
