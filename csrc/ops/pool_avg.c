/* Average pooling, and subsampling with a trainable coefficient and bias: both scale the sum of each
 * window. Members share out rows of windows. */
#include "ops/activation.h"
#include "ops/pool.h"
#include "ops/reduce.h"

/* Vectors summed side by side, where a pixel has as many: a sum waits for the one before it. */
enum { SIDE_BY_SIDE = 4 };

/* sum[v] = 0 + the taps kh x kw of a window whose tap (0, 0) is at x, in ascending order. */
static inline __attribute__((always_inline)) void
sum_vectors(const real *x, int64_t pitch, int64_t C, range kh, range kw, int vectors, vec *sum)
{
    for (int v = 0; v < vectors; v++) sum[v] = (vec){0};
    for (int64_t i = kh.begin; i < kh.end; i++)
        for (int64_t j = kw.begin; j < kw.end; j++)
            for (int v = 0; v < vectors; v++)
                sum[v] += *(const vec *)(x + i * pitch + j * C + v * LANES);
}

static inline real sum_scalar(const real *x, int64_t pitch, int64_t C, range kh, range kw)
{
    real sum = 0;
    for (int64_t i = kh.begin; i < kh.end; i++)
        for (int64_t j = kw.begin; j < kw.end; j++) sum += x[i * pitch + j * C];
    return sum;
}

/* The sums of all channels of a window. Whole vectors where there is `room` for them. */
static void window_sum(const real *x, int64_t pitch, int64_t C, range kh, range kw, bool room,
                       real *y)
{
    int64_t c = 0;
    for (; c + SIDE_BY_SIDE * LANES <= C; c += SIDE_BY_SIDE * LANES) {
        vec sum[SIDE_BY_SIDE];
        sum_vectors(x + c, pitch, C, kh, kw, SIDE_BY_SIDE, sum);
        for (int v = 0; v < SIDE_BY_SIDE; v++) *(vec *)(y + c + v * LANES) = sum[v];
    }
    for (; room && c < C; c += LANES) {
        const int64_t at = vector_at(c, C);
        sum_vectors(x + at, pitch, C, kh, kw, 1, (vec *)(y + at));
    }
    for (; c < C; c++) y[c] = sum_scalar(x + c, pitch, C, kh, kw);
}

/* The sums of row `line` of windows. This member may write y before `end`. */
static void row_sum(const fnn_conv2d_shape *s, const real *x, int64_t line, real *y,
                    const real *end)
{
    const int64_t C = s->C, pitch = s->W * C, h = line % s->OH * s->stride_h - s->pad_top;
    const real *row = x + (line / s->OH * s->H + h) * pitch, *x_end = x + s->N * s->H * pitch;
    const range kh = taps_inside(h, s->KH, s->H);
    for (int64_t ow = 0; ow < s->OW; ow++, y += C) {
        const int64_t w = ow * s->stride_w - s->pad_left;
        const range kw = taps_inside(w, s->KW, s->W);
        const real *last = row + (kh.end - 1) * pitch + (w + kw.end - 1) * C;
        const bool room = C >= LANES || (y + LANES <= end && last + LANES <= x_end);
        window_sum(row + w * C, pitch, C, kh, kw, room, y);
    }
}

fnn_plan VARIANT(avg_pool2d_forward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_avg_pool2d_args *)args)->shape;
    return forward_plan(s, max_members);
}

void VARIANT(avg_pool2d_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_avg_pool2d_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t C = s->C;
    const range lines = split(s->N * s->OH, 1, team->rank, team->size);
    const real *end = (real *)a->out + lines.end * s->OW * C;
    for (int64_t line = lines.begin; line < lines.end; line++) {
        real *y = (real *)a->out + line * s->OW * C;
        row_sum(s, a->in, line, y, end);
        for (int64_t ow = 0; ow < s->OW; ow++, y += C) {
            const real count = avg_divisor(a, line % s->OH, ow);
            for (int64_t c = 0; c < C; c++) y[c] /= count;
        }
    }
}

/* ---- subsampling ----------------------------------------------------------------------------- */

fnn_plan VARIANT(subsample2d_forward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_subsample2d_forward_args *)args)->shape;
    return forward_plan(s, max_members);
}

void VARIANT(subsample2d_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_subsample2d_forward_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t C = s->C;
    const real *restrict coefficient = a->coefficient, *restrict bias = a->bias;
    const range lines = split(s->N * s->OH, 1, team->rank, team->size);
    const real *end = (real *)a->y + lines.end * s->OW * C;
    for (int64_t line = lines.begin; line < lines.end; line++) {
        real *y = (real *)a->y + line * s->OW * C;
        row_sum(s, a->x, line, y, end);
        for (int64_t ow = 0; ow < s->OW; ow++)
            for (int64_t c = 0; c < C; c++)
                y[ow * C + c] = fma_real(coefficient[c], y[ow * C + c], bias[c]);
        activate(a->activation, y, y, s->OW * C);
    }
}

/* Windows per chunk: as bias_backward's rows. */
enum { CHUNK_WINDOWS = 1024 };

static inline int64_t chunk_count(const fnn_conv2d_shape *s)
{
    return max_i64(1, ceil_div(window_count(s), CHUNK_WINDOWS));
}

fnn_plan VARIANT(subsample2d_backward_coefficient_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_subsample2d_backward_coefficient_args *)args)->shape;
    const int64_t chunks = chunk_count(s);
    fnn_plan plan = forward_plan(s, (int)min_i64(max_members, chunks));
    plan.workspace = (size_t)(chunks * s->C) * sizeof(real);
    return plan;
}

/* partial[c] = sum over the windows of a chunk of dy * the window's sum, LANES channels from c. */
static void chunk_products(const fnn_subsample2d_backward_coefficient_args *a, range windows,
                           real *partial)
{
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t C = s->C, pitch = s->W * C;
    const lanes own = first_lanes(min_i64(C, LANES));
    for (int64_t i = 0; i < C; i += LANES) {
        const int64_t c = vector_at(i, C);
        vec total = {0};
        for (int64_t p = windows.begin; p < windows.end; p++) {
            const int64_t ow = p % s->OW, line = p / s->OW, oh = line % s->OH;
            const int64_t row = line / s->OH * s->H + oh * s->stride_h;
            const real *x = (const real *)a->x + row * pitch + ow * s->stride_w * C + c;
            vec sum = {0};
            for (int64_t kh = 0; kh < s->KH; kh++)
                for (int64_t kw = 0; kw < s->KW; kw++)
                    sum += load_first(x + kh * pitch + kw * C, own);
            add_product(&total, load_first((const real *)a->dy + p * C + c, own), sum);
        }
        store_first(partial + c, own, total);
    }
}

void VARIANT(subsample2d_backward_coefficient_run)(const void *args, const fnn_team *team)
{
    const fnn_subsample2d_backward_coefficient_args *a = args;
    const int64_t windows = window_count(&a->shape), C = a->shape.C;
    const int64_t chunks = chunk_count(&a->shape);
    real *partials = team->workspace;
    const range mine = split(chunks, 1, team->rank, team->size);
    for (int64_t i = mine.begin; i < mine.end; i++)
        chunk_products(a, (range){i * CHUNK_WINDOWS, min_i64((i + 1) * CHUNK_WINDOWS, windows)},
                       partials + i * C);
    fnn_team_barrier(team);
    add_partials(partials, chunks, C, split(C, LANES, team->rank, team->size), a->dcoefficient,
                 a->accumulate);
}
