/* Convolutions of few channels: nothing is copied but rows of images, once, with their padding. */
#ifndef FNN_CONV_DIRECT_H
#define FNN_CONV_DIRECT_H

#include "ops/conv2d.h"

/* Taps per axis that these ways take, so that what they list per row of taps lies on the stack. */
enum { MAX_KERNEL = 16 };

/* ---- rows of an image ------------------------------------------------------------------------
 *
 * A convolution goes down an image, and of the rows that it reads, laid out as its loops like them,
 * only those are kept that it still needs: row h in slot h & mask. */
typedef struct row_ring {
    const real *slot;      /* slot 0; of rows read in place, row 0 of the image */
    const real *zero;      /* a row of the padding above and below the image */
    int64_t mask, size, H; /* mask: slots - 1, or -1 */
    int64_t next;          /* the first row that is not yet laid out */
} row_ring;

static inline const real *ring_row(const row_ring *ring, int64_t h)
{
    return h < 0 || h >= ring->H ? ring->zero : ring->slot + (h & ring->mask) * ring->size;
}

/* ---- rows of x as they are --------------------------------------------------------------------
 *
 * In place, where no window reaches over the sides of an image; else copied between zeros. */
typedef struct x_rows {
    int64_t size; /* elements that are read of a row */
    int64_t slots;
    bool in_place;
} x_rows;

/* For `rows` rows of windows at a time. */
static inline x_rows plan_x_rows(const fnn_conv2d_shape *s, int64_t rows)
{
    x_rows x = {.size = ((s->OW - 1) * s->stride_w + (s->KW - 1) * s->dilation_w + 1) * s->C};
    x.in_place = s->pad_left == 0 && x.size <= s->W * s->C;
    if (x.in_place) return x;
    const int64_t seen = (rows - 1) * s->stride_h + (s->KH - 1) * s->dilation_h + 1;
    for (x.slots = 1; x.slots < min_i64(seen, s->H);) x.slots *= 2;
    return x;
}

/* Elements of a ring: slots, and a row of zeros. */
static inline int64_t x_rows_size(const x_rows *x)
{
    return round_up(min_i64(saturating_mul(x->slots + 1, x->size), INT32_MAX), FNN_ALIGN);
}

static inline row_ring start_x_rows(const fnn_conv2d_shape *s, const x_rows *x, real *space)
{
    memset(space, 0, (size_t)x_rows_size(x) * sizeof(real));
    return (row_ring){.slot = space + x->size,
                      .zero = space,
                      .mask = x->in_place ? -1 : x->slots - 1,
                      .size = x->in_place ? s->W * s->C : x->size,
                      .H = s->H};
}

/* Makes the rows that windows in `rows` rows from row i on see those of the ring. */
static inline void find_x_rows(const fnn_conv2d_shape *s, const x_rows *x, const real *image,
                               int64_t i, int64_t rows, row_ring *ring)
{
    if (x->in_place) {
        ring->slot = image;
        return;
    }
    const int64_t top = i * s->stride_h - s->pad_top, left = s->pad_left * s->C;
    const int64_t reach = (rows - 1) * s->stride_h + (s->KH - 1) * s->dilation_h;
    const int64_t n = min_i64(s->W * s->C, x->size - left), end = min_i64(top + reach + 1, s->H);
    for (int64_t h = max_i64(max_i64(0, top), ring->next); h < end; h++)
        if (n > 0)
            memcpy((real *)ring_row(ring, h) + left, image + h * s->W * s->C,
                   (size_t)n * sizeof(real));
    ring->next = max_i64(ring->next, end);
}

/* ---- a row of one channel after another ------------------------------------------------------ */

/* planes[c * ld + i] = pixels[i * stride + c], i < n, c < C */
#define split_channels VARIANT(split_channels)
void split_channels(const real *restrict pixels, int64_t stride, int64_t n, int64_t C,
                    real *restrict planes, int64_t ld);

/* pixels[i * C + c] = planes[c * ld + i], i < n, c < C. Planes are read in whole vectors, and there
 * are at least QUAD of them. */
#define join_channels VARIANT(join_channels)
void join_channels(const real *restrict planes, int64_t ld, int64_t n, int64_t C,
                   real *restrict pixels);

/* ---- tiles of pixels in lanes ---------------------------------------------------------------- */

/* Most channels of a tile. */
enum { PIXEL_CHANNELS = 6 };

/* What vectors of neighbouring pixels are the sums of: for each row r seen and each tap t,
 *     channel[i] += seen[group][r][offset[t]] * weights[kernel_row[r]][t][i]. */
typedef struct pixel_tiles {
    int64_t rows, taps;
    const real *seen[2][MAX_KERNEL];
    int64_t kernel_row[MAX_KERNEL];
    const int64_t *offset;
    const real *weights; /* kernel rows x taps x channels */
    const real *bias;    /* of the channels, or NULL */
    bool relu;
    real *out; /* groups x channels x pixels */
    int64_t out_ld, out_group;
} pixel_tiles;

/* Vectors [0, vecs) of a row, and of the next one where groups is 2, which channels <= 2 can be. */
#define run_pixel_tiles VARIANT(run_pixel_tiles)
void run_pixel_tiles(int channels, int groups, int64_t vecs, const pixel_tiles *t);

/* ---- the ways -------------------------------------------------------------------------------- */

/* Pixels in lanes, for few channels of the result. */
#define pixels_forward_plan VARIANT(pixels_forward_plan)
fnn_plan pixels_forward_plan(const void *args, int max_members);
#define pixels_forward_run VARIANT(pixels_forward_run)
void pixels_forward_run(const void *args, const fnn_team *team);
#define pixels_backward_input_plan VARIANT(pixels_backward_input_plan)
fnn_plan pixels_backward_input_plan(const void *args, int max_members);
#define pixels_backward_input_run VARIANT(pixels_backward_input_run)
void pixels_backward_input_run(const void *args, const fnn_team *team);

/* Channels in lanes. */
#define channels_forward_plan VARIANT(channels_forward_plan)
fnn_plan channels_forward_plan(const void *args, int max_members);
#define channels_forward_run VARIANT(channels_forward_run)
void channels_forward_run(const void *args, const fnn_team *team);
#define channels_workspace VARIANT(channels_workspace)
int64_t channels_workspace(const fnn_conv2d_shape *s);

/* The gradient of the input, added pixel by pixel of dy. */
#define scatter_plan VARIANT(scatter_plan)
fnn_plan scatter_plan(const void *args, int max_members);
#define scatter_run VARIANT(scatter_run)
void scatter_run(const void *args, const fnn_team *team);
#define scatter_workspace VARIANT(scatter_workspace)
int64_t scatter_workspace(const fnn_conv2d_shape *s);

/* The gradient of the filters, taps x filters in registers. */
#define weight_plan VARIANT(weight_plan)
fnn_plan weight_plan(const void *args, int max_members);
#define weight_run VARIANT(weight_run)
void weight_run(const void *args, const fnn_team *team);
#define weight_workspace VARIANT(weight_workspace)
int64_t weight_workspace(const fnn_conv2d_shape *s);

/* Bytes of workspace of one member; what it takes to hold rows depends on the width of images. */
#define pixels_workspace VARIANT(pixels_workspace)
int64_t pixels_workspace(const fnn_conv2d_shape *s, fnn_conv_pass pass);

#endif
