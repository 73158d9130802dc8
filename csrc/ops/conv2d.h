/* The ways to compute a convolution: each is a file that fills one table. */
#ifndef FNN_CONV2D_H
#define FNN_CONV2D_H

#include "ops/window.h"

/* One pass in one way. plan and run are an op's, and take the args of that pass. */
typedef struct conv_method {
    fnn_plan (*plan)(const void *args, int max_members);
    void (*run)(const void *args, const fnn_team *team);
    bool (*takes)(const fnn_conv2d_shape *s); /* whether it is the one to use */
} conv_method;

/* The gradient of the filters sums over every pixel of the batch while it may be a few hundred
 * numbers itself: the pixels are cut in chunks that members share, each with `size` sums of its own,
 * which are then added in order. The cut depends on the shape alone. Chunks have `chunk_pixels` and
 * more, which pay for their sums; all sums together stay below CHUNKS_SIZE elements, so that large
 * filters, which have parallelism enough in themselves, take few. */
static inline int64_t pixel_chunks(int64_t pixels, int64_t chunk_pixels, int64_t size)
{
    enum { MAX_CHUNKS = 64, CHUNKS_SIZE = 1 << 20 };
    const int64_t room = CHUNKS_SIZE / max_i64(1, size);
    return max_i64(1, min_i64(min_i64(MAX_CHUNKS, room), pixels / chunk_pixels));
}

#define direct_methods VARIANT(direct_methods)
extern const conv_method direct_methods[FNN_CONV_PASSES];
#define im2col_methods VARIANT(im2col_methods)
extern const conv_method im2col_methods[FNN_CONV_PASSES];

#define winograd_methods VARIANT(winograd_methods)
extern const conv_method winograd_methods[FNN_CONV_PASSES];
#define depthwise_methods VARIANT(depthwise_methods)
extern const conv_method depthwise_methods[FNN_CONV_PASSES];

#endif
