/* Depthwise convolution, the gradient of the filters:
 *     dw[c, kh, kw] = sum over n, oh, ow of dy[n, oh, ow, c] * x[n, h, w, c]
 * A row of outputs adds to all taps, a few at a time, whose sums are in registers meanwhile. */
#include "ops/conv_depthwise.h"
#include "ops/reduce.h"

/* Chunks end with a row of outputs. */
enum { CHUNK_PIXELS = 512 };

/* Multiply-adds per member. */
static const int64_t WORK_PER_MEMBER = 200000;

static int64_t chunk_count(const fnn_conv2d_shape *s)
{
    const int64_t chunks = pixel_chunks(window_count(s), CHUNK_PIXELS, filters_size(s));
    return max_i64(1, min_i64(s->N * s->OH, chunks));
}

static band make_band(const fnn_conv2d_shape *s)
{
    band b = {.first = -s->pad_left,
              .width = (s->OW - 1) * s->stride_w + (s->KW - 1) * s->dilation_w + 1,
              .count = (s->KH - 1) * s->dilation_h + 1};
    b.planes = planes_in_cache(&b, line_count(s));
    return b;
}

/* The band, and a row of dy in as many planes. */
static int64_t member_size(const fnn_conv2d_shape *s)
{
    const band b = make_band(s);
    return b.planes * (plane_size(&b) + s->OW * LINE);
}

static int64_t group_count(const fnn_conv2d_shape *s)
{
    return ceil_div(line_count(s), make_band(s).planes);
}

/* Filters in the workspace: of each chunk, and their sum. */
static int64_t partials_size(const fnn_conv2d_shape *s)
{
    const int64_t chunks = chunk_count(s);
    return (chunks == 1 ? 1 : chunks + 1) * filters_size(s);
}

fnn_plan depthwise_weight_plan(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_conv2d_backward_weight_args *)args)->shape;
    const int64_t items = chunk_count(s) * group_count(s);
    const int members =
        members_for(depthwise_work(s), WORK_PER_MEMBER, (int)min_i64(max_members, items));
    const int64_t size = partials_size(s) + members * member_size(s);
    return (fnn_plan){members, (size_t)size * sizeof(real)};
}

/* ---- a row of outputs ------------------------------------------------------------------------ */

/* What some taps see of a row of outputs: all but sums in copies of LINE channels. */
typedef struct seen {
    const real *dy;
    int64_t outs;
    const real *const *rows; /* of x, a row of taps each, at what tap 0 of output 0 is over */
    int64_t offset, step, spacing;
    real *sums; /* (rows, KW, LINE) */
    int64_t sums_row;
    int64_t channels;
} seen;

enum { MAX_TAPS = 5, MAX_SUMS = 2 * MAX_TAPS };

/* vecs vectors of channels from c on: dw[k] += dy[p] * x[p + k] for p ascending. */
static inline __attribute__((always_inline)) void add_taps(const seen *t, int64_t c, const int taps,
                                                           const int vecs)
{
    vec sums[MAX_SUMS];
    const int64_t spacing = t->spacing, step = t->step;
#pragma GCC unroll 8
    for (int k = 0; k < taps; k++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            sums[k * vecs + v] = *(const vec *)(t->sums + k * LINE + c + v * LANES);
    const real *dy = t->dy + c, *x = t->rows[0] + t->offset + c;
    for (int64_t p = t->outs; p > 0; p--, dy += LINE, x += step)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const vec d = *(const vec *)(dy + v * LANES);
#pragma GCC unroll 8
            for (int k = 0; k < taps; k++)
                add_product(&sums[k * vecs + v], *(const vec *)(x + k * spacing + v * LANES), d);
        }
#pragma GCC unroll 8
    for (int k = 0; k < taps; k++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            *(vec *)(t->sums + k * LINE + c + v * LANES) = sums[k * vecs + v];
}

/* One vector of 3 x 3 taps: four outputs at a time, so that each pixel is loaded once for all that
 * see it. */
static inline __attribute__((always_inline)) void add_9_taps(const seen *t, int64_t c,
                                                             const int stride)
{
    enum { OUTS = 4 };
    vec sums[9];
    const real *x[3], *dy = t->dy + c;
#pragma GCC unroll 3
    for (int r = 0; r < 3; r++) {
        x[r] = t->rows[r] + t->offset + c;
#pragma GCC unroll 3
        for (int k = 0; k < 3; k++)
            sums[r * 3 + k] = *(const vec *)(t->sums + r * t->sums_row + k * LINE + c);
    }
    int64_t left = t->outs;
    for (; left >= OUTS; left -= OUTS, dy += OUTS * LINE) {
        vec d[OUTS];
#pragma GCC unroll 4
        for (int p = 0; p < OUTS; p++) d[p] = *(const vec *)(dy + p * LINE);
#pragma GCC unroll 16
        for (int q = 0; q < (OUTS - 1) * stride + 3; q++)
#pragma GCC unroll 3
            for (int r = 0; r < 3; r++) {
                const vec pixel = *(const vec *)(x[r] + q * LINE);
#pragma GCC unroll 4
                for (int p = 0; p < OUTS; p++)
                    if (q >= p * stride && q < p * stride + 3)
                        add_product(&sums[r * 3 + q - p * stride], pixel, d[p]);
            }
#pragma GCC unroll 3
        for (int r = 0; r < 3; r++) x[r] += OUTS * stride * LINE;
    }
    for (; left > 0; left--, dy += LINE) {
        const vec d = *(const vec *)dy;
#pragma GCC unroll 3
        for (int r = 0; r < 3; r++) {
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++)
                add_product(&sums[r * 3 + k], *(const vec *)(x[r] + k * LINE), d);
            x[r] += stride * LINE;
        }
    }
#pragma GCC unroll 3
    for (int r = 0; r < 3; r++)
#pragma GCC unroll 3
        for (int k = 0; k < 3; k++)
            *(vec *)(t->sums + r * t->sums_row + k * LINE + c) = sums[r * 3 + k];
}

static __attribute__((noinline)) void add_3x3(const seen *t)
{
    for (int64_t c = 0; c < t->channels; c += LANES) add_9_taps(t, c, 1);
}

static __attribute__((noinline)) void add_3x3_by_2(const seen *t)
{
    for (int64_t c = 0; c < t->channels; c += LANES) add_9_taps(t, c, 2);
}

/* As many vectors as a line has, two where it has more. */
static inline __attribute__((always_inline)) void add_row(const seen *t, const int taps)
{
    enum { VECS = LINE_VECS < 2 ? 1 : 2 };
    for (int64_t c = 0; c < t->channels; c += VECS * LANES) add_taps(t, c, taps, VECS);
}

static void add_some(const seen *t, int64_t taps)
{
    switch (taps) {
    case 1:
        add_row(t, 1);
        break;
    case 2:
        add_row(t, 2);
        break;
    case 3:
        add_row(t, 3);
        break;
    case 4:
        add_row(t, 4);
        break;
    case 5:
        add_row(t, 5);
        break;
    }
}

/* One row of outputs and all taps. */
static void add_outputs(const fnn_conv2d_shape *s, seen *t)
{
    if (s->KH == 3 && s->KW == 3 && t->spacing == LINE && s->stride_w <= 2) {
        if (s->stride_w == 1) add_3x3(t);
        else add_3x3_by_2(t);
        return;
    }
    const int64_t groups = ceil_div(s->KW, MAX_TAPS);
    for (int64_t kh = 0; kh < s->KH; kh++)
        for (int64_t g = 0; g < groups; g++) {
            const int64_t k = s->KW * g / groups;
            seen some = *t;
            some.rows += kh;
            some.offset += k * t->spacing;
            some.sums += kh * t->sums_row + k * LINE;
            add_some(&some, s->KW * (g + 1) / groups - k);
        }
}

/* ---- chunks ---------------------------------------------------------------------------------- */

/* Adds rows [begin, end) of the batch's outputs, for one group of channels, from c on. */
static void add_chunk(const fnn_conv2d_backward_weight_args *a, range rows, int64_t c, real *memory,
                      real *sums)
{
    const fnn_conv2d_shape *s = &a->shape;
    band b = make_band(s);
    const int64_t C = s->C, channels = min_i64(b.planes * LINE, C - c);
    const real *found[MAX_ROWS];
    real *dy = memory + b.planes * plane_size(&b);
    for (int64_t at = rows.begin; at < rows.end; at++) {
        const int64_t oh = at % s->OH, n = at / s->OH;
        const int64_t top = oh * s->stride_h - s->pad_top;
        if (oh == 0 || at == rows.begin) band_begin(&b, memory);
        band_rows(&b, (const real *)a->x + n * s->H * s->W * C + c, s->H, s->W, C, channels, top,
                  top, s->dilation_h, s->KH, found);
        copy_pixels((const real *)a->dy + at * s->OW * C + c, s->OW, C, channels, 0, s->OW,
                    s->OW * LINE, dy);
        for (int64_t line = 0; line * LINE < channels; line++) {
            seen t = {.dy = dy + line * s->OW * LINE,
                      .outs = s->OW,
                      .rows = found,
                      .offset = line * plane_size(&b),
                      .step = s->stride_w * LINE,
                      .spacing = s->dilation_w * LINE,
                      .sums = sums + line * s->KH * s->KW * LINE,
                      .sums_row = s->KW * LINE,
                      .channels = min_i64(LINE, channels - line * LINE)};
            add_outputs(s, &t);
        }
    }
}

void depthwise_weight_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_weight_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t chunks = chunk_count(s), size = filters_size(s), taps = s->KH * s->KW;
    const int64_t lines = line_count(s), rows = s->N * s->OH, groups = group_count(s);
    const int64_t planes = make_band(s).planes;
    real *sum = team->workspace, *partials = chunks == 1 ? sum : sum + size;
    real *mine = sum + partials_size(s) + team->rank * member_size(s);

    const range own = split(chunks * groups, 1, team->rank, team->size);
    for (int64_t i = own.begin; i < own.end; i++) {
        const int64_t chunk = i / groups, first = i % groups * planes;
        const range these = {first, min_i64(lines, first + planes)};
        real *to = partials + chunk * size + first * taps * LINE;
        if (chunks == 1 && a->accumulate) lay_out_filters(s, a->dw, these, false, sum);
        else
            for (int64_t j = 0; j < (these.end - these.begin) * taps * LINE; j++) to[j] = 0;
        add_chunk(a, (range){rows * chunk / chunks, rows * (chunk + 1) / chunks}, first * LINE,
                  mine, to);
    }
    fnn_team_barrier(team);
    const range done = split(lines, 1, team->rank, team->size);
    if (chunks > 1) {
        if (a->accumulate) lay_out_filters(s, a->dw, done, false, sum);
        add_partials(partials, chunks, size,
                     (range){done.begin * taps * LINE, done.end * taps * LINE}, sum, a->accumulate);
    }
    for (int64_t g = done.begin; g < done.end; g++) {
        const source from = strided_source(sum + g * taps * LINE, 1, LINE);
        source_copy(&from, 0, min_i64(LINE, s->C - g * LINE), 0, taps,
                    (real *)a->dw + g * LINE * taps, taps);
    }
}
