/* Forward convolution with channels of the result in lanes, where a row of taps is a run of memory:
 * the tile of products.c, pixels x filters, whose rows are read in place, KH runs of x one after
 * another. What a product spends on gathering patches, which is much where filters are few, it
 * does not. */
#include "ops/activation.h"
#include "ops/conv_direct.h"
#include "ops/panels.h"

/* Multiply-adds that pay for one more member. */
static const int64_t WORK_PER_MEMBER = 200000;

/* ---- the tile -------------------------------------------------------------------------------- */

typedef struct channel_tiles {
    int64_t rows; /* of taps */
    const real *seen[MAX_KERNEL];
    int64_t at;     /* where these pixels begin in each */
    int64_t count;  /* tiles of the same pixels, of channels side by side */
    const real *w;  /* tiles x rows x taps x channels of a tile */
    tile_args taps; /* of one row: what add_products reads */
    finish finish;
    lanes last; /* of the last vector of channels */
    real *out;
    int64_t out_rs;
} channel_tiles;

static inline __attribute__((always_inline)) void channel_tile(const int pixels, const int vecs,
                                                               const channel_tiles *t,
                                                               const real *w, const real *bias,
                                                               real *out)
{
    vec acc[TILE_ROWS][MAX_VECS];
#pragma GCC unroll 16
    for (int r = 0; r < pixels; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++) acc[r][v] = (vec){0};
    for (int64_t kh = 0; kh < t->rows; kh++) {
        add_products(pixels, vecs, false, A_ROWS, &t->taps, t->seen[kh] + t->at, w, acc);
        w += t->taps.kc * vecs * LANES;
    }
    OPAQUE(t);
    if (t->finish.any) finish_tile(pixels, vecs, false, t->last, &t->finish, bias, acc);
    const bool part = t->last.n < LANES;
#pragma GCC unroll 16
    for (int r = 0; r < pixels; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++) {
            real *to = out + r * t->out_rs + v * LANES;
            if (v == vecs - 1 && part) store_first(to, t->last, acc[r][v]);
            else *(vec *)to = acc[r][v];
        }
}

static inline __attribute__((always_inline)) void row_of_channels(const int pixels, const int vecs,
                                                                  const channel_tiles *t)
{
    const real *w = t->w, *bias = t->finish.bias;
    real *out = t->out;
    for (int64_t i = t->count; i > 0; i--) {
        channel_tile(pixels, vecs, t, w, bias, out);
        w += t->rows * t->taps.kc * vecs * LANES;
        out += vecs * LANES;
        if (bias) bias += vecs * LANES;
    }
}

/* The tile that most of the time goes to, in a function of its own: see tile.c. */
static __attribute__((noinline)) void full_channel_tiles(const channel_tiles *t)
{
    row_of_channels(TILE_ROWS, TILE_VECS, t);
}

/* The switch makes `pixels` and `vecs` constants. */
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        if (vecs == 1) row_of_channels(n, 1, t);                                                   \
        else row_of_channels(n, TILE_VECS, t);                                                     \
        break;
#if REGISTERS == 32
#define EACH_PIXELS                                                                                \
    CASE(1)                                                                                        \
    CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#else
#define EACH_PIXELS CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif

static void run_channel_tiles(int64_t pixels, int vecs, const channel_tiles *t)
{
    if (pixels == TILE_ROWS && vecs == TILE_VECS) {
        full_channel_tiles(t);
        return;
    }
    switch (pixels) {
        EACH_PIXELS
    }
}

/* ---- the pass -------------------------------------------------------------------------------- */

/* A member's workspace, in elements: rows of x, weights in panels, the bias up to whole vectors. */
typedef struct layout {
    x_rows x;
    int64_t weights, bias, size;
} layout;

static layout lay_out(const fnn_conv2d_shape *s)
{
    const int64_t K = s->KH * s->KW * s->C, columns = round_up(s->O, TILE_COLS);
    layout l = {.x = plan_x_rows(s, 1)};
    l.weights = x_rows_size(&l.x);
    l.bias = l.weights + K * columns;
    l.size = round_up(l.bias + columns, FNN_ALIGN);
    return l;
}

int64_t channels_workspace(const fnn_conv2d_shape *s)
{
    return saturating_mul(lay_out(s).size, sizeof(real));
}

/* All channels of pixels [begin, end) of a row, which are a tile. */
static void compute_pixels(const fnn_conv2d_forward_args *f, const layout *l, const real *space,
                           range pixels, channel_tiles *t, real *y)
{
    const fnn_conv2d_shape *s = &f->shape;
    const int64_t K = s->KH * s->KW * s->C, whole = s->O / TILE_COLS, rest = s->O % TILE_COLS;
    t->at = pixels.begin * s->stride_w * s->C;
    int64_t o = 0;
    for (int i = 0; i < 2; i++) { /* the tiles that are full, then the rest */
        t->count = i == 0 ? whole : rest > 0;
        if (t->count == 0) continue;
        const int64_t columns = i == 0 ? TILE_COLS : rest;
        const int vecs = (int)ceil_div(columns, LANES);
        t->last = first_lanes(columns - (vecs - 1) * LANES);
        t->w = space + l->weights + o * K;
        t->taps.b_rs = vecs * LANES;
        t->finish.bias = f->bias ? space + l->bias + o : NULL;
        t->out = y + pixels.begin * s->O + o;
        run_channel_tiles(pixels.end - pixels.begin, vecs, t);
        o += whole * TILE_COLS;
    }
}

static void compute(const fnn_conv2d_forward_args *f, const layout *l, range rows, real *space)
{
    const fnn_conv2d_shape *s = &f->shape;
    const int64_t K = s->KH * s->KW * s->C;
    const source filters = strided_source(f->w, 1, K);
    pack_columns(&filters, 0, K, 0, s->O, space + l->weights);
    if (f->bias) memcpy(space + l->bias, f->bias, (size_t)s->O * sizeof(real));
    row_ring ring = start_x_rows(s, &l->x, space);
    const tiling cut = cut_rows(s->OW);
    channel_tiles t = {.rows = s->KH, .out_rs = s->O};
    t.taps = (tile_args){.kc = s->KW * s->C, .a_rs = s->stride_w * s->C};
    t.finish = (finish){.any = f->bias || f->activation == FNN_RELU,
                        .bias_cs = 1,
                        .relu = f->activation == FNN_RELU};
    int64_t n = rows.begin / s->OH, i = rows.begin % s->OH;
    for (int64_t row = rows.begin; row < rows.end; row++) {
        find_x_rows(s, &l->x, (const real *)f->x + n * s->H * s->W * s->C, i, 1, &ring);
        for (int64_t kh = 0; kh < s->KH; kh++)
            t.seen[kh] = ring_row(&ring, i * s->stride_h - s->pad_top + kh * s->dilation_h);
        real *y = (real *)f->y + row * s->OW * s->O;
        for (int64_t j = 0; j < cut.tiles; j++) {
            const int64_t begin = tile_begin(&cut, j);
            compute_pixels(f, l, space, (range){begin, begin + tile_height(&cut, j)}, &t, y);
        }
        if (f->activation > FNN_RELU) activate(f->activation, y, y, s->OW * s->O);
        if (++i == s->OH) {
            i = 0;
            n++;
            ring.next = 0;
        }
    }
}

fnn_plan channels_forward_plan(const void *args, int max_members)
{
    const fnn_conv2d_forward_args *f = args;
    const fnn_conv2d_shape *s = &f->shape;
    const int64_t rows = saturating_mul(s->N, s->OH);
    const int64_t work = saturating_mul(window_count(s), s->O * s->KH * s->KW * s->C);
    const int members = members_for(work, WORK_PER_MEMBER, (int)min_i64(max_members, rows));
    return (fnn_plan){members, (size_t)members * (size_t)channels_workspace(s)};
}

void channels_forward_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_forward_args *f = args;
    const layout l = lay_out(&f->shape);
    const range rows = split(f->shape.N * f->shape.OH, 1, team->rank, team->size);
    if (rows.begin < rows.end) compute(f, &l, rows, (real *)team->workspace + team->rank * l.size);
}
