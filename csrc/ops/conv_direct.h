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
    const real *slot; /* slot 0; of rows read in place, row 0 of the image */
    const real *zero; /* a row of the padding above and below the image */
    int64_t mask, size, H; /* mask: slots - 1, or -1 */
    int64_t next; /* the first row that is not yet laid out */
} row_ring;

static inline const real *ring_row(const row_ring *ring, int64_t h)
{
    return h < 0 || h >= ring->H ? ring->zero : ring->slot + (h & ring->mask) * ring->size;
}

/* ---- a row of one channel after another ------------------------------------------------------- */

/* planes[c * ld + i] = pixels[i * stride + c], i < n, c < C */
#define split_channels VARIANT(split_channels)
void split_channels(const real *restrict pixels, int64_t stride, int64_t n, int64_t C,
                    real *restrict planes, int64_t ld);

/* pixels[i * C + c] = planes[c * ld + i], i < n, c < C. Planes are read in whole vectors, and there
 * are at least QUAD of them. */
#define join_channels VARIANT(join_channels)
void join_channels(const real *restrict planes, int64_t ld, int64_t n, int64_t C,
                   real *restrict pixels);

/* ---- tiles of pixels in lanes ----------------------------------------------------------------- */

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

/* ---- the ways --------------------------------------------------------------------------------- */

/* Pixels in lanes, for few channels of the result. */
#define pixels_forward_plan VARIANT(pixels_forward_plan)
fnn_plan pixels_forward_plan(const void *args, int max_members);
#define pixels_forward_run VARIANT(pixels_forward_run)
void pixels_forward_run(const void *args, const fnn_team *team);
#define pixels_backward_input_plan VARIANT(pixels_backward_input_plan)
fnn_plan pixels_backward_input_plan(const void *args, int max_members);
#define pixels_backward_input_run VARIANT(pixels_backward_input_run)
void pixels_backward_input_run(const void *args, const fnn_team *team);

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
