/* The gradient of the input, where a row of taps is a run of memory that fills vectors: each pixel
 * of dy, its filters one after another, is added to the pixels of dx that it saw, (kw, c) in lanes
 * and rows of taps side by side. Pixels come in ascending order, so a sum is the same chain as
 * where dx gathers what it needs of dy; but no product is one with padding, which is half of them
 * where images are small, and none is for a stride's sake. */
#include "ops/activation.h"
#include "ops/conv_direct.h"
#include "ops/tile.h"

/* Multiply-adds that pay for one more member. */
static const int64_t WORK_PER_MEMBER = 200000;

/* ---- the tile -------------------------------------------------------------------------------- */

/* Of 2 to 4 vectors, and of as many rows as leave registers for a weight and a broadcast. */
enum {
    MAX_TILES = 32,
    MIN_SCATTER_VECS = 2,
    MAX_SCATTER_VECS = 4,
    SCATTER_SUMS = 12,
    MAX_SCATTER_ROWS = 6
};

typedef struct scatter_tile {
    int rows, vecs;
    int64_t filters;
    const real *w; /* filters x rows of taps x taps */
    int64_t w_filter, w_row;
    real *dx[MAX_SCATTER_ROWS]; /* of the first pixel of a row */
    vec_bits last; /* which lanes of the last vector are taps: the others stay what they are */
} scatter_tile;

/* dx[r][at + v] += dy[o] * w[o][r][v], o ascending. */
static inline __attribute__((always_inline)) void
scatter(const int rows, const int vecs, const scatter_tile *t, const real *dy, int64_t at)
{
    vec acc[MAX_SCATTER_ROWS][MAX_SCATTER_VECS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) acc[r][v] = *(const vec *)(t->dx[r] + at + v * LANES);
    const real *w = t->w;
    const int64_t w_filter = t->w_filter, w_row = t->w_row;
    for (const real *end = dy + t->filters; dy < end; dy++, w += w_filter) {
        const vec b = broadcast(dy);
        const real *third[2] = {w, w + 3 * w_row};
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++)
                add_product(&acc[r][v], b,
                            *(const vec *)(third[r / 3] + r % 3 * w_row + v * LANES));
    }
    OPAQUE(t);
    const vec_bits last = t->last;
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        real *to = t->dx[r] + at;
#pragma GCC unroll 4
        for (int v = 0; v < vecs - 1; v++) *(vec *)(to + v * LANES) = acc[r][v];
        to += (vecs - 1) * LANES;
        *(vec *)to =
            (vec)(((vec_bits)acc[r][vecs - 1] & last) | ((vec_bits)(*(const vec *)to) & ~last));
    }
}

/* The switch makes `rows` and `vecs` constants. */
static void run_scatter_tile(const scatter_tile *t, const real *dy, int64_t at)
{
    switch (t->vecs * 8 + t->rows) {
#define CASE(v, r)                                                                                 \
    case v * 8 + r:                                                                                \
        scatter(r, v, t, dy, at);                                                                  \
        break;
        CASE(2, 1)
        CASE(2, 2)
        CASE(2, 3)
        CASE(2, 4)
        CASE(2, 5)
        CASE(2, 6)
        CASE(3, 1)
        CASE(3, 2)
        CASE(3, 3)
        CASE(3, 4)
        CASE(4, 1)
        CASE(4, 2)
        CASE(4, 3)
#undef CASE
    }
}

/* ---- what is computed, and where ------------------------------------------------------------- */

typedef struct scattering {
    const fnn_conv2d_backward_input_args *args;
    const fnn_conv2d_shape *s;
    int64_t Q, vecs;       /* taps of a row, KW * C; vectors of them */
    int64_t row, slots;    /* elements of a row of dx with its padding; such rows at a time */
    int64_t weights, size; /* where they begin in a member's workspace, and its end, in elements */
} scattering;

static scattering describe(const fnn_conv2d_backward_input_args *args)
{
    const fnn_conv2d_shape *s = &args->shape;
    scattering c = {.args = args, .s = s, .Q = s->KW * s->C};
    c.vecs = ceil_div(c.Q, LANES);
    const int64_t reached = (s->OW - 1) * s->stride_w * s->C + c.vecs * LANES;
    c.row = max_i64(reached, (s->pad_left + s->W) * s->C);
    for (c.slots = 1; c.slots < (s->KH - 1) * s->dilation_h + 1;) c.slots *= 2;
    /* No larger than tells that it is too large. */
    c.weights = round_up(min_i64(saturating_mul(c.slots, c.row), INT32_MAX), FNN_ALIGN);
    const int64_t weights = saturating_mul(s->O, s->KH * c.vecs * LANES);
    c.size = c.weights + round_up(min_i64(weights, INT32_MAX), FNN_ALIGN);
    return c;
}

int64_t scatter_workspace(const fnn_conv2d_shape *s)
{
    const fnn_conv2d_backward_input_args args = {.shape = *s};
    return saturating_mul(describe(&args).size, sizeof(real));
}

/* (O, KH, KW * C), the last up to whole vectors. */
static void lay_out_weights(const scattering *c, real *to)
{
    const real *w = c->args->w;
    memset(to, 0, (size_t)(c->size - c->weights) * sizeof(real));
    for (int64_t i = 0; i < c->s->O * c->s->KH; i++)
        memcpy(to + i * c->vecs * LANES, w + i * c->Q, (size_t)c->Q * sizeof(real));
}

/* ---- rows of dx ------------------------------------------------------------------------------ */

/* Rows [done, begun) are in their slots, and lack some of their sum. */
typedef struct dx_rows {
    real *slot;
    int64_t begun, done;
} dx_rows;

static inline real *dx_row(const scattering *c, const dx_rows *rows, int64_t h)
{
    return rows->slot + (h & (c->slots - 1)) * c->row;
}

static void begin_rows(const scattering *c, dx_rows *rows, int64_t end)
{
    for (; rows->begun < end; rows->begun++)
        memset(dx_row(c, rows, rows->begun), 0, (size_t)c->row * sizeof(real));
}

/* Rows that no further row of dy reaches go to dx. */
static void finish_rows(const scattering *c, dx_rows *rows, int64_t end, real *image)
{
    const fnn_conv2d_shape *s = c->s;
    const int64_t size = s->W * s->C;
    const real *bias = c->args->bias;
    for (; rows->done < end; rows->done++) {
        begin_rows(c, rows, rows->done + 1);
        real *dx = image + rows->done * size;
        memcpy(dx, dx_row(c, rows, rows->done) + s->pad_left * s->C, (size_t)size * sizeof(real));
        for (int64_t w = 0; bias && w < s->W; w++)
            for (int64_t i = 0; i < s->C; i++) dx[w * s->C + i] += bias[i];
        if (c->args->activation != FNN_IDENTITY) activate(c->args->activation, dx, dx, size);
    }
}

/* ---- the pass -------------------------------------------------------------------------------- */

/* The tiles of rows of taps [kh.begin, kh.end), the first of which sees row h of dx. */
static int64_t list_tiles(const scattering *c, const dx_rows *rows, range kh, int64_t h,
                          const real *weights, scatter_tile tiles[MAX_TILES])
{
    const fnn_conv2d_shape *s = c->s;
    const int64_t parts = ceil_div(c->vecs, MAX_SCATTER_VECS), n = kh.end - kh.begin;
    int64_t count = 0;
    for (int64_t i = 0; i < parts; i++) {
        const int64_t v = c->vecs * i / parts, vecs = c->vecs * (i + 1) / parts - v;
        const int64_t groups = ceil_div(n, SCATTER_SUMS / vecs);
        for (int64_t g = 0; g < groups; g++) {
            const int64_t k = n * g / groups, k_end = n * (g + 1) / groups;
            scatter_tile *t = &tiles[count++];
            *t = (scatter_tile){.rows = (int)(k_end - k), .vecs = (int)vecs, .filters = s->O};
            t->w = weights + (kh.begin + k) * c->vecs * LANES + v * LANES;
            t->w_filter = s->KH * c->vecs * LANES;
            t->w_row = c->vecs * LANES;
            for (int64_t j = 0; j < LANES; j++) t->last[j] = -((v + vecs - 1) * LANES + j < c->Q);
            for (int64_t r = k; r < k_end; r++)
                t->dx[r - k] = dx_row(c, rows, h + r * s->dilation_h) + v * LANES;
        }
    }
    return count;
}

/* A row of dy to the rows that its rows of taps [kh.begin, kh.end) saw. */
static void scatter_row(const scattering *c, const dx_rows *rows, const real *dy, range kh,
                        int64_t h, const real *weights)
{
    scatter_tile tiles[MAX_TILES];
    const int64_t count = list_tiles(c, rows, kh, h, weights, tiles);
    const int64_t step = c->s->stride_w * c->s->C, end = c->s->OW * step;
    for (int64_t at = 0; at < end; at += step, dy += c->s->O)
        for (int64_t i = 0; i < count; i++) run_scatter_tile(&tiles[i], dy, at);
}

/* Rows [own.begin, own.end) of image n of dx. */
static void compute_image(const scattering *c, int64_t n, range own, real *space)
{
    const fnn_conv2d_shape *s = c->s;
    const int64_t d = s->dilation_h, reach = (s->KH - 1) * d;
    const real *dy = (const real *)c->args->dy + n * s->OH * s->OW * s->O;
    real *image = (real *)c->args->dx + n * s->H * s->W * s->C;
    dx_rows rows = {.slot = space, .begun = own.begin, .done = own.begin};
    const int64_t first = ceil_div(max_i64(0, own.begin + s->pad_top - reach), s->stride_h);
    const int64_t end = min_i64(s->OH, (own.end - 1 + s->pad_top) / s->stride_h + 1);
    for (int64_t i = first; i < end; i++) {
        const int64_t top = i * s->stride_h - s->pad_top;
        range kh = {top < own.begin ? ceil_div(own.begin - top, d) : 0, s->KH};
        if (top + reach >= own.end) kh.end = ceil_div(own.end - top, d);
        if (kh.begin >= kh.end) continue;
        finish_rows(c, &rows, min_i64(top, own.end), image);
        begin_rows(c, &rows, min_i64(top + reach + 1, own.end));
        scatter_row(c, &rows, dy + i * s->OW * s->O, kh, top + kh.begin * d, space + c->weights);
    }
    finish_rows(c, &rows, own.end, image);
}

fnn_plan scatter_plan(const void *args, int max_members)
{
    const scattering c = describe(args);
    const int64_t rows = saturating_mul(c.s->N, c.s->H);
    const int64_t work = saturating_mul(window_count(c.s), c.s->O * c.s->KH * c.Q);
    const int members = members_for(work, WORK_PER_MEMBER, (int)min_i64(max_members, rows));
    return (fnn_plan){members, (size_t)members * (size_t)c.size * sizeof(real)};
}

void scatter_run(const void *args, const fnn_team *team)
{
    const scattering c = describe(args);
    const int64_t H = c.s->H;
    real *space = (real *)team->workspace + team->rank * c.size;
    const range rows = split(c.s->N * H, 1, team->rank, team->size);
    if (rows.begin < rows.end) lay_out_weights(&c, space + c.weights);
    for (int64_t row = rows.begin; row < rows.end;) {
        const int64_t n = row / H, i = row - n * H, count = min_i64(H - i, rows.end - row);
        compute_image(&c, n, (range){i, i + count}, space);
        row += count;
    }
}
