/* Squares of images to 36 frequencies and back: B^T d B, A^T m A and its adjoint A m A^T, a vector
 * of channels at a time. */
#include "ops/activation.h"
#include "ops/vector.h"
#include "ops/winograd.h"

/* The points +-R and +-S. */
static const real R = REAL(0.70710678118654752440), S = REAL(1.41421356237309504880);

/* ---- one dimension -------------------------------------------------------------------------- */

/* v = B^T d */
static inline __attribute__((always_inline)) void input_1d(const vec d[SQUARE_IN], vec v[SQUARE_IN])
{
    const vec even_r = d[4] - 2 * d[2], odd_r = d[3] - 2 * d[1];
    const vec even_s = d[4] - REAL(0.5) * d[2], odd_s = d[3] - REAL(0.5) * d[1];
    v[0] = d[0] + (d[4] - REAL(2.5) * d[2]);
    v[1] = even_r + R * odd_r;
    v[2] = even_r - R * odd_r;
    v[3] = even_s + S * odd_s;
    v[4] = even_s - S * odd_s;
    v[5] = d[1] + (d[5] - REAL(2.5) * d[3]);
}

/* y = A^T m, of `out` outputs */
static inline __attribute__((always_inline)) void output_1d(const int out, const vec m[SQUARE_IN],
                                                            vec *y)
{
    const vec sum_r = m[1] + m[2], difference_r = m[1] - m[2];
    const vec sum_s = m[3] + m[4], difference_s = m[3] - m[4];
    y[0] = m[0] + (sum_r + sum_s);
    if (out == 2) {
        y[1] = m[5] + R * (difference_r + 2 * difference_s);
    } else {
        y[1] = R * (difference_r + 2 * difference_s);
        y[2] = REAL(0.5) * (sum_r + 4 * sum_s);
        y[3] = m[5] + R * REAL(0.5) * (difference_r + 8 * difference_s);
    }
}

/* m = A y, forward was y = A^T m */
static inline __attribute__((always_inline)) void gradient_1d(const int out, const vec *y,
                                                              vec m[SQUARE_IN])
{
    vec even_r = y[0], odd_r = y[1], even_s = y[0], odd_s = y[1];
    if (out == 4) {
        even_r += REAL(0.5) * y[2], odd_r += REAL(0.5) * y[3];
        even_s += 2 * y[2], odd_s += 2 * y[3];
    }
    m[0] = y[0];
    m[1] = even_r + R * odd_r;
    m[2] = even_r - R * odd_r;
    m[3] = even_s + S * odd_s;
    m[4] = even_s - S * odd_s;
    m[5] = y[out - 1];
}

/* ---- where squares lie ---------------------------------------------------------------------- */

/* One square of size x size pixels: where its first pixel is or would be, and which of its rows and
 * columns are inside the image. */
typedef struct square {
    int64_t offset; /* of the first pixel, in elements */
    range rows, cols;
} square;

/* Which of `size` pixels, step apart from the first on, are inside [0, limit). */
static inline range inside(int64_t first, int64_t size, int64_t step, int64_t limit)
{
    if (step == 1) /* no division */
        return (range){min_i64(size, max_i64(0, -first)), max_i64(0, min_i64(size, limit - first))};
    return (range){min_i64(size, ceil_div(max_i64(0, -first), step)),
                   min_i64(size, ceil_div(max_i64(0, limit - first), step))};
}

/* The first output of row or column i of squares. */
static inline int64_t first_output(int64_t i, int64_t dilation, int64_t out)
{
    return dilation == 1 ? i * out : i / dilation * (out * dilation) + i % dilation;
}

static inline square find_square(const squares *s, int64_t i, int64_t size)
{
    const int64_t across = i % s->across, line = i / s->across;
    const int64_t n = line / s->down, down = line % s->down;
    const int64_t h = first_output(down, s->dilation_h, s->out) - s->top;
    const int64_t w = first_output(across, s->dilation_w, s->out) - s->left;
    return (square){((n * s->H + h) * s->W + w) * s->pixel, inside(h, size, s->dilation_h, s->H),
                    inside(w, size, s->dilation_w, s->W)};
}

/* Elements from one row, or pixel, of a square to the next. */
static inline int64_t row_step(const squares *s)
{
    return s->dilation_h * s->W * s->pixel;
}

static inline int64_t pixel_step(const squares *s)
{
    return s->dilation_w * s->pixel;
}

static inline bool is_whole(const square *q, int64_t size)
{
    return q->rows.begin == 0 && q->rows.end == size && q->cols.begin == 0 && q->cols.end == size;
}

/* A vector's worth of channels of a square that is not whole, or of fewer channels, with zeros for
 * what is missing. */
static void copy_square(const squares *s, const square *q, const real *from, int64_t size,
                        lanes channels, vec *to)
{
    const int64_t row = row_step(s), pixel = pixel_step(s);
    for (int64_t i = 0; i < size * size; i++) to[i] = (vec){0};
    for (int64_t i = q->rows.begin; i < q->rows.end; i++)
        for (int64_t j = q->cols.begin; j < q->cols.end; j++)
            to[i * size + j] = load_first(from + i * row + j * pixel, channels);
}

/* ---- two dimensions ------------------------------------------------------------------------- */

/* to[f * f_step] = B^T d B of d (size 6), or A m A^T of m (size 4 or 2), its element (i, j) at
 * from[i * row + j * pixel]. */
static inline __attribute__((always_inline)) void
transform(const int size, const real *from, int64_t row, int64_t pixel, real *to, int64_t f_step)
{
    vec half[SQUARE_IN][SQUARE_IN], in[SQUARE_IN], out[SQUARE_IN]; /* columns first */
    for (int j = 0; j < size; j++) {
#pragma GCC unroll 6
        for (int i = 0; i < size; i++) in[i] = *(const vec *)(from + i * row + j * pixel);
        if (size == SQUARE_IN) input_1d(in, out);
        else gradient_1d(size, in, out);
#pragma GCC unroll 6
        for (int i = 0; i < SQUARE_IN; i++) half[i][j] = out[i];
    }
    for (int i = 0; i < SQUARE_IN; i++) {
        if (size == SQUARE_IN) input_1d(half[i], out);
        else gradient_1d(size, half[i], out);
#pragma GCC unroll 6
        for (int j = 0; j < SQUARE_IN; j++) *(vec *)(to + j * f_step) = out[j];
        to += SQUARE_IN * f_step;
    }
}

static inline __attribute__((always_inline)) void
transform_squares(const int size, const squares *s, const real *image, range which, int64_t c,
                  int64_t channels, transformed t)
{
    for (int64_t i = which.begin; i < which.end; i++) {
        const square q = find_square(s, i, size);
        const bool whole = is_whole(&q, size);
        const real *from = image + q.offset + c;
        real *to = t.to + (i - which.begin) * t.row;
        for (int64_t j = 0; j < channels; j += LANES) {
            const int64_t left = channels - j;
            if (whole && left >= LANES) {
                transform(size, from + j, row_step(s), pixel_step(s), to + j, t.f_step);
            } else {
                vec copy[SQUARE_IN * SQUARE_IN];
                copy_square(s, &q, from + j, size, first_lanes(min_i64(left, LANES)), copy);
                transform(size, (const real *)copy, size * LANES, LANES, to + j, t.f_step);
            }
        }
    }
}

void winograd_inputs(const squares *s, const real *x, range which, int64_t c, int64_t channels,
                     transformed v)
{
    transform_squares(SQUARE_IN, s, x, which, c, channels, v);
}

void winograd_gradients(const squares *s, const real *dy, range which, int64_t c, int64_t channels,
                        transformed m)
{
    if (s->out == 4) transform_squares(4, s, dy, which, c, channels, m);
    else transform_squares(2, s, dy, which, c, channels, m);
}

/* y[i][j] = A^T m A + bias, m at from[f * f_step] */
static inline __attribute__((always_inline)) void
transform_output(const int out, const real *from, int64_t f_step, vec bias, bool relu, vec *y)
{
    vec half[MAX_OUT][SQUARE_IN];
    for (int j = 0; j < SQUARE_IN; j++) {
        vec m[SQUARE_IN], column[MAX_OUT];
#pragma GCC unroll 6
        for (int i = 0; i < SQUARE_IN; i++)
            m[i] = *(const vec *)(from + (i * SQUARE_IN + j) * f_step);
        output_1d(out, m, column);
#pragma GCC unroll 4
        for (int i = 0; i < out; i++) half[i][j] = column[i];
    }
    for (int i = 0; i < out; i++) {
        vec row[MAX_OUT];
        output_1d(out, half[i], row);
#pragma GCC unroll 4
        for (int j = 0; j < out; j++) {
            const vec sum = row[j] + bias; /* NaN stays: */
            y[i * out + j] = relu ? (vec)((vec_bits)sum & ~(vec_bits)(sum <= 0)) : sum;
        }
    }
}

/* One vector of channels of the outputs of a square. */
static inline __attribute__((always_inline)) void
store_square(const int out, const squares *s, const square *q, lanes some, const vec *y, real *to)
{
    const int64_t row = row_step(s), pixel = pixel_step(s);
    for (int64_t h = 0; h < q->rows.end; h++)
        for (int64_t w = 0; w < q->cols.end; w++) {
            real *at = to + h * row + w * pixel;
            if (some.n == LANES) *(vec *)at = y[h * out + w];
            else store_first(at, some, y[h * out + w]);
        }
}

static inline __attribute__((always_inline)) void
output_squares(const int out, const squares *s, transformed m, range which, int64_t c,
               int64_t channels, const real *bias, fnn_activation activation, real *y)
{
    for (int64_t t = which.begin; t < which.end; t++) {
        const square q = find_square(s, t, out);
        const real *from = m.to + (t - which.begin) * m.row;
        for (int64_t j = 0; j < channels; j += LANES) {
            const lanes some = first_lanes(min_i64(channels - j, LANES));
            const vec add = bias ? load_first(bias + j, some) : (vec){0};
            vec square[MAX_OUT * MAX_OUT];
            transform_output(out, from + j, m.f_step, add, activation == FNN_RELU, square);
            store_square(out, s, &q, some, square, y + q.offset + c + j);
        }
        if (activation <= FNN_RELU) continue;
        for (int64_t h = 0; h < q.rows.end; h++) /* while they are in L1 */
            for (int64_t w = 0; w < q.cols.end; w++) {
                real *pixel = y + q.offset + c + h * row_step(s) + w * pixel_step(s);
                activate(activation, pixel, pixel, channels);
            }
    }
}

void winograd_outputs(const squares *s, transformed m, range which, int64_t c, int64_t channels,
                      const real *bias, fnn_activation activation, real *y)
{
    if (s->out == 4) output_squares(4, s, m, which, c, channels, bias, activation, y);
    else output_squares(2, s, m, which, c, channels, bias, activation, y);
}
