/* The gradient of the filters, where a row of taps is a run of memory: a tile of it, taps x
 * filters, stays in registers while the pixels of a few rows go by. No patch is copied: a tap of
 * one pixel is one broadcast from x, or from a row of x with its padding, and the filters are a row
 * of dy.
 *
 * As in conv_im2col.c the pixels are cut in chunks by the shape alone, here at the ends of rows. */
#include "ops/conv_direct.h"
#include "ops/tile.h"

enum { CHUNK_PIXELS = 1024 };

/* Bytes of dy that one tile after another reads, from L1, and the most rows of it. */
enum { BLOCK_BYTES = 8192, BLOCK_ROWS = 16 };

/* Multiply-adds that pay for one more member. */
static const int64_t WORK_PER_MEMBER = 400000;

/* ---- the tile -------------------------------------------------------------------------------- */

typedef struct tap_tile {
    int64_t rows, cols; /* of pixels: a few rows, or part of one */
    const real *const (*x)[MAX_KERNEL];
    int64_t kh, q;  /* the first row of taps, the first tap of it */
    int64_t x_step; /* from one pixel to the next */
    const real *dy, *dy_end;
    int64_t dy_row, dy_step;
    lanes last; /* of a lone vector of filters */
    real *sum;
    int64_t sum_row, sum_tap;
    const char *ahead, *ahead_end; /* what the next pixels read of dy, as far as not yet fetched */
} tap_tile;

/* acc[r * taps + i] += x[p] * near[p - i], for taps i in [begin, end), where near holds dy of the
 * last `taps` pixels, pixel p in slot p % taps. */
static inline __attribute__((always_inline)) void
add_neighbours(const int rows, const int taps, const int begin, const int end, const int p,
               const real *x0, const real *x1, const vec near[], vec acc[][MAX_VECS])
{
#pragma GCC unroll 2
    for (int r = 0; r < rows; r++) {
        const vec x = broadcast(r == 0 ? x0 : x1);
#pragma GCC unroll 8
        for (int i = begin; i < end; i++)
            add_product(&acc[r * taps + i][0], x, near[(p - i + taps) % taps]);
    }
}

/* A row of pixels that are neighbours in x, with one vector of filters, of which all lanes can be
 * loaded: what pixel p sees through tap i is what pixel p + i sees through tap 0, so one broadcast
 * serves as many pixels as there are taps, their dy being held. Each tap's pixels ascend as ever.
 * Returns how many pixels have seen all taps. */
static inline __attribute__((always_inline)) int64_t add_row(const int rows, const int taps,
                                                             int64_t cols, const real *x0,
                                                             const real *x1, const real *dy,
                                                             int64_t dy_step, vec acc[][MAX_VECS])
{
    vec near[8];
#pragma GCC unroll 8
    for (int p = 0; p < taps - 1; p++) { /* until all taps have pixels */
        near[p] = *(const vec *)(dy + p * dy_step);
        add_neighbours(rows, taps, 0, p + 1, p, x0 + p, x1 + p, near, acc);
    }
    int64_t at = taps - 1;
    for (const real *next = dy + at * dy_step; at + taps <= cols; at += taps)
#pragma GCC unroll 8
        for (int u = 0; u < taps; u++, next += dy_step) {
            near[(taps - 1 + u) % taps] = *(const vec *)next;
            add_neighbours(rows, taps, 0, taps, taps - 1 + u, x0 + at + u, x1 + at + u, near, acc);
        }
#pragma GCC unroll 8
    for (int u = 0; u < taps - 1; u++) /* what the last taps - 1 pixels have not yet seen */
        add_neighbours(rows, taps, u + 1, taps, taps - 1 + u, x0 + at + u, x1 + at + u, near, acc);
    return at;
}

/* for each pixel: sum[k][i][v] += x[kh + k][q + i] * dy[v], for `rows` rows of taps, `taps` of each
 * and `vecs` vectors of filters. */
static inline __attribute__((always_inline)) void add_pixels(const int rows, const int taps,
                                                             const int vecs, const tap_tile *t)
{
    vec acc[TILE_ROWS * 2][MAX_VECS];
    const bool part = vecs == 1;
#pragma GCC unroll 2
    for (int k = 0; k < rows; k++)
#pragma GCC unroll 8
        for (int i = 0; i < taps; i++)
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++)
                acc[k * taps + i][v] =
                    *(const vec *)(t->sum + k * t->sum_row + i * t->sum_tap + v * LANES);
    const int64_t x_step = t->x_step, dy_step = t->dy_step;
    const lanes last = t->last;
    for (int64_t r = 0; r < t->rows; r++) {
        const real *x0 = t->x[r][t->kh] + t->q;
        const real *x1 = rows == 2 ? t->x[r][t->kh + 1] + t->q : NULL;
        const real *dy = t->dy + r * t->dy_row;
        int64_t j = t->cols;
        if (vecs == 1 && taps > 1 && (rows + 1) * taps < 16 && x_step == 1 && j >= 2 * taps &&
            t->dy_end - dy >= j * dy_step + LANES) {
            const int64_t done = add_row(rows, taps, j, x0, x1, dy, dy_step, acc);
            j -= done;
            x0 += done;
            if (rows == 2) x1 += done;
            dy += done * dy_step;
        }
        for (; j > 0; j--, dy += dy_step) {
            add_one_k(taps, vecs, part, last, x0, 1, dy, acc);
            x0 += x_step;
            if (rows == 1) continue;
            add_one_k(taps, vecs, part, last, x1, 1, dy, acc + taps);
            x1 += x_step;
        }
    }
#pragma GCC unroll 2
    for (int k = 0; k < rows; k++)
#pragma GCC unroll 8
        for (int i = 0; i < taps; i++)
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++)
                *(vec *)(t->sum + k * t->sum_row + i * t->sum_tap + v * LANES) =
                    acc[k * taps + i][v];
}

enum { MAX_TAPS = 6, MAX_TAPS_OF_4_VECS = 3 };

/* The switch makes `taps` a constant. A tile is 2 rows of taps x 1 vector of filters, or one row x
 * 1, 2 or 4 vectors. */
static void run_tap_tile(int rows, int64_t taps, int vecs, const tap_tile *t)
{
    switch (taps) {
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        if (rows == 2) add_pixels(2, n, 1, t);                                                     \
        else if (vecs == 1) add_pixels(1, n, 1, t);                                                \
        else if (vecs == 2) add_pixels(1, n, 2, t);                                                \
        else if (n <= MAX_TAPS_OF_4_VECS) add_pixels(1, n <= 3 ? n : 3, 4, t);                     \
        break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#undef CASE
    }
}

/* ---- what is computed, and where ------------------------------------------------------------- */

typedef struct gradient {
    const fnn_conv2d_backward_weight_args *args;
    const fnn_conv2d_shape *s;
    const real *dy_end;
    int64_t Q;    /* taps of a row: KW * C */
    int64_t OP;   /* O rounded up to vectors */
    int64_t size; /* of the sums of a chunk: KH x Q x OP */
    int64_t chunks;
    int64_t block_rows, block_cols; /* of pixels */
    x_rows x;
} gradient;

static gradient describe(const fnn_conv2d_backward_weight_args *args)
{
    const fnn_conv2d_shape *s = &args->shape;
    gradient g = {.args = args, .s = s, .Q = s->KW * s->C, .OP = round_up(s->O, LANES)};
    if (args->dy) g.dy_end = (const real *)args->dy + window_count(s) * s->O;
    g.size = s->KH * g.Q * g.OP;
    const int64_t chunks = pixel_chunks(window_count(s), CHUNK_PIXELS, g.size);
    g.chunks = max_i64(1, min_i64(chunks, saturating_mul(s->N, s->OH)));
    const int64_t pixels = max_i64(16, BLOCK_BYTES / (s->O * (int64_t)sizeof(real)));
    g.block_cols = min_i64(pixels, s->OW);
    g.block_rows = max_i64(1, min_i64(BLOCK_ROWS, pixels / s->OW));
    g.x = plan_x_rows(s, g.block_rows);
    return g;
}

int64_t weight_workspace(const fnn_conv2d_shape *s)
{
    const fnn_conv2d_backward_weight_args args = {.shape = *s};
    const gradient g = describe(&args);
    return saturating_mul(x_rows_size(&g.x), sizeof(real));
}

/* ---- a chunk --------------------------------------------------------------------------------- */

/* A few lines at a time, while a tile is computed. */
static inline void fetch(const char **from, const char *end)
{
    enum { LINES = 8, BYTES = LINE * sizeof(real) };
    for (int i = 0; i < LINES && *from < end; i++, *from += BYTES) __builtin_prefetch(*from, 0, 2);
}

/* All tiles of taps x `vecs` vectors of filters, over the pixels that t describes. */
static void add_filters(const gradient *g, tap_tile *t, int vecs, real *sums)
{
    const int64_t most = vecs == 4 ? MAX_TAPS_OF_4_VECS : MAX_TAPS, runs = ceil_div(g->Q, most);
    int rows;
    for (t->kh = 0; t->kh < g->s->KH; t->kh += rows) {
        rows = vecs == 1 && t->kh + 2 <= g->s->KH ? 2 : 1;
        for (int64_t i = 0; i < runs; i++) {
            t->q = g->Q * i / runs;
            t->sum = sums + (t->kh * g->Q + t->q) * g->OP;
            fetch(&t->ahead, t->ahead_end);
            run_tap_tile(rows, g->Q * (i + 1) / runs - t->q, vecs, t);
        }
    }
}

/* `rows` rows of pixels of an image from row i on. */
static void add_rows(const gradient *g, int64_t n, int64_t i, int64_t rows, row_ring *ring,
                     real *sums)
{
    const fnn_conv2d_shape *s = g->s;
    const real *x[BLOCK_ROWS][MAX_KERNEL];
    const real *image = (const real *)g->args->x + n * s->H * s->W * s->C;
    const int64_t top = i * s->stride_h - s->pad_top;
    find_x_rows(s, &g->x, image, i, rows, ring);
    for (int64_t j = 0; j < s->OW; j += g->block_cols) {
        for (int64_t r = 0; r < rows; r++)
            for (int64_t kh = 0; kh < s->KH; kh++)
                x[r][kh] = ring_row(ring, top + r * s->stride_h + kh * s->dilation_h) +
                           j * s->stride_w * s->C;
        tap_tile t = {.rows = rows,
                      .cols = min_i64(g->block_cols, s->OW - j),
                      .x = (const real *const(*)[MAX_KERNEL])x,
                      .x_step = s->stride_w * s->C,
                      .dy_end = g->dy_end,
                      .dy_row = s->OW * s->O,
                      .dy_step = s->O,
                      .sum_row = g->Q * g->OP,
                      .sum_tap = g->OP};
        const real *dy = (const real *)g->args->dy + ((n * s->OH + i) * s->OW + j) * s->O;
        const int64_t size = rows == 1 ? t.cols * s->O : rows * t.dy_row;
        t.ahead = (const char *)(dy + size);
        t.ahead_end = (const char *)(dy + min_i64(2 * size, g->dy_end - dy));
        for (int64_t o = 0, width; o < s->O; o += width * LANES) {
            const int64_t whole = (s->O - o) / LANES;
            width = whole >= 4 ? 4 : whole >= 2 ? 2 : 1;
            t.dy = dy + o;
            t.last = first_lanes(min_i64(LANES, s->O - o));
            add_filters(g, &t, (int)width, sums + o);
        }
    }
}

/* Rows of pixels, counted through the batch. */
static void add_chunk(const gradient *g, range rows, real *space, real *sums)
{
    const fnn_conv2d_shape *s = g->s;
    row_ring ring = start_x_rows(s, &g->x, space);
    int64_t n = rows.begin / s->OH, i = rows.begin % s->OH;
    for (int64_t row = rows.begin, count; row < rows.end; row += count) {
        count = min_i64(g->block_rows, min_i64(rows.end - row, s->OH - i));
        add_rows(g, n, i, count, &ring, sums);
        i += count;
        if (i == s->OH) {
            i = 0;
            n++;
            ring.next = 0;
        }
    }
}

/* ---- the pass -------------------------------------------------------------------------------- */

/* dw of the taps in that range: dw or 0, and one chunk after another. Chunks are `chunk` apart. */
static void add_chunks(const gradient *g, range taps, const real *sums, bool accumulate)
{
    const int64_t K = g->s->KH * g->Q;
    real *dw = g->args->dw;
    for (int64_t k = taps.begin; k < taps.end; k++)
        for (int64_t o = 0; o < g->s->O; o++) {
            const real *part = sums + k * g->OP + o;
            real sum = accumulate ? dw[o * K + k] + part[0] : part[0];
            for (int64_t i = 1; i < g->chunks; i++) sum += part[i * g->size];
            dw[o * K + k] = sum;
        }
}

/* What the only chunk starts from. */
static void load_sums(const gradient *g, real *sums)
{
    const int64_t K = g->s->KH * g->Q;
    const real *dw = g->args->dw;
    for (int64_t k = 0; k < K; k++)
        for (int64_t o = 0; o < g->s->O; o++) sums[k * g->OP + o] = dw[o * K + k];
}

fnn_plan weight_plan(const void *args, int max_members)
{
    const gradient g = describe(args);
    const int64_t work = saturating_mul(window_count(g.s), g.size);
    const int members = members_for(work, WORK_PER_MEMBER, (int)min_i64(max_members, g.chunks));
    const int64_t elements = members * x_rows_size(&g.x) + g.chunks * g.size;
    return (fnn_plan){members, (size_t)elements * sizeof(real)};
}

void weight_run(const void *args, const fnn_team *team)
{
    const gradient g = describe(args);
    const int64_t rows = g.s->N * g.s->OH, space = x_rows_size(&g.x);
    real *mine = (real *)team->workspace + team->rank * space;
    real *sums = (real *)team->workspace + team->size * space;
    const bool start = g.args->accumulate && g.chunks == 1;
    const range own = split(g.chunks, 1, team->rank, team->size);
    for (int64_t i = own.begin; i < own.end; i++) {
        const range chunk = {rows * i / g.chunks, rows * (i + 1) / g.chunks};
        if (start) load_sums(&g, sums);
        else memset(sums + i * g.size, 0, (size_t)g.size * sizeof(real));
        add_chunk(&g, chunk, mine, sums + i * g.size);
    }
    fnn_team_barrier(team);
    add_chunks(&g, split(g.s->KH * g.Q, 1, team->rank, team->size), sums,
               g.args->accumulate && !start);
}
