/* Going back through a convolution, pixels that lie a stride apart see the same taps of the filter,
 * and neighbours among them see neighbouring outputs: a phase of each axis, a convolution at
 * stride 1. */
#ifndef FNN_PHASES_H
#define FNN_PHASES_H

#include "ops/real.h"

/* Pixels first, first + stride, ... of an axis, and the taps that see them: last, last - period, ...
 * The first pixel sees output `origin` through the last tap, output origin + spacing through the one
 * before it, and so on: outputs ascend. */
typedef struct phase {
    int64_t first, pixels, taps, last, period, origin, spacing;
} phase;

static inline int64_t greatest_common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Tap k saw pixel h from output (h + pad - k * dilation) / stride, if that is whole: so did every
 * period-th tap, if any. */
static inline phase find_phase(int64_t first, int64_t size, int64_t stride, int64_t pad,
                               int64_t taps, int64_t dilation)
{
    const int64_t period = stride / greatest_common_divisor(stride, dilation);
    const int64_t end = min_i64(taps, period);
    int64_t k = 0;
    while (k < end && (first + pad - k * dilation) % stride != 0) k++;
    const int64_t count = k < end ? (taps - 1 - k) / period + 1 : 0;
    const int64_t last = count > 0 ? k + (count - 1) * period : 0;
    return (phase){.first = first,
                   .pixels = ceil_div(size - first, stride),
                   .taps = count,
                   .last = last,
                   .period = period,
                   .origin = (first + pad - last * dilation) / stride,
                   .spacing = period * dilation / stride};
}

#endif
