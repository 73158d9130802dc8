/* Five loops around the register tile (Goto and van de Geijn 2008; Van Zee and van de Geijn 2015):
 *
 *     for each NC columns of the output
 *         for each KC of K               pack B (KC x NC) into panels of TILE_COLS columns
 *             for each MC rows           pack A (MC x KC)
 *                 for each panel of B    a panel stays in L1
 *                     for each tile of A
 *
 * A later block of K goes on from what the earlier ones left in the output, so an output is one
 * chain of fma however it is blocked. Packing pads with zeros to whole vectors of columns; a tile
 * that sticks out of the output, or whose columns are not contiguous, goes through a scratch tile.
 */
#include "ops/product.h"

#include "ops/activation.h"
#include "ops/tile.h"

/* A block of A, MC x LDA, takes a fifth of a 1 MB L2, one of B, KC x NC, most of the rest.
 * bench/bench_gemm.py at 1024^3 and 2048^3, f32 on AVX-512 (Zen 4, one thread): an NC of 64 tiles,
 * in L3, costs 5 to 25 %, one of 16 tiles 5 %. */
enum { MC = 16 * TILE_ROWS, NC = 24 * TILE_COLS };

/* Multiply-adds that pay for one more member: waking a sleeping worker costs some 10 us. */
static const int64_t WORK_PER_MEMBER = 200000;

static inline int64_t round_up(int64_t n, int64_t multiple)
{
    return ceil_div(n, multiple) * multiple;
}

static inline int64_t packed_a_size(int64_t M)
{
    return min_i64(M, MC) * LDA;
}

static inline int64_t packed_b_size(int64_t N, int64_t K)
{
    return min_i64(round_up(N, LANES), NC) * min_i64(K, KC);
}

size_t product_workspace(int64_t M, int64_t N, int64_t K)
{
    /* A, B, and the bias padded to whole tiles. */
    const int64_t reals = round_up(packed_a_size(M), FNN_ALIGN) + packed_b_size(N, K) +
                          round_up(min_i64(N, NC), TILE_COLS);
    return (size_t)round_up(reals * (int64_t)sizeof(real), FNN_ALIGN);
}

fnn_plan product_plan(int64_t M, int64_t N, int64_t K, int max_members)
{
    const int64_t work = saturating_mul(saturating_mul(M, round_up(N, LANES)), K);
    const int64_t tiles = saturating_mul(ceil_div(M, TILE_ROWS), ceil_div(N, TILE_COLS));
    const int members = members_for(work, WORK_PER_MEMBER, (int)min_i64(max_members, tiles));
    return (fnn_plan){members, (size_t)members * product_workspace(M, N, K)};
}

static void pack_b(const source *b, int64_t k0, int64_t kc, int64_t n0, int64_t nc, real *to)
{
    for (int64_t j = 0; j < nc; j += TILE_COLS) {
        const int64_t cols = min_i64(TILE_COLS, nc - j);
        const int64_t width = round_up(cols, LANES);
        if (cols < width)
            for (int64_t k = 0; k < kc; k++)
                for (int64_t e = cols; e < width; e++) to[k * width + e] = 0;
        source_copy(b, k0, kc, n0 + j, cols, to, width);
        to += kc * width;
    }
}

static void pack_a(const product *p, int64_t m0, int64_t mc, int64_t k0, int64_t kc, real *to)
{
    source_copy(&p->a, m0, mc, k0, kc, to, LDA);
    if (p->alpha == 1) return;
    for (int64_t i = 0; i < mc; i++)
        for (int64_t k = 0; k < kc; k++) to[i * LDA + k] *= p->alpha;
}

/* The tile of each height: the switch makes `rows` a constant. */
static inline __attribute__((always_inline)) void tile_of_rows(int64_t rows, const int vecs,
                                                               int64_t kc, const real *a,
                                                               const real *b, const real *bias,
                                                               bool load, real *c, int64_t ldc)
{
    switch (rows) {
#define CASE(r)                                                                                    \
    case r:                                                                                        \
        tile(r, vecs, kc, a, b, bias, load, c, ldc);                                               \
        break;
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
#if REGISTERS == 32
        CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
#undef CASE
    }
}

/* What one step of the K loop does to a block of the output. */
typedef struct step {
    int64_t kc;
    bool first, last;
} step;

/* One tile of the output, at row m and column n. */
static void compute_tile(const product *p, const step *s, int64_t m, int64_t rows, int64_t n,
                         int64_t cols, const real *a, const real *b, const real *bias)
{
    real *out = p->out + m * p->out_rs + n * p->out_cs;
    const bool load = !s->first || p->beta != 0;
    const int64_t width = round_up(cols, LANES);
    const bool from_c = s->first && p->beta != 0;
    real scratch[TILE_ROWS * TILE_COLS];
    const bool direct = cols == width && p->out_cs == 1 && !from_c;
    real *c = direct ? out : scratch;
    const int64_t ldc = direct ? p->out_rs : width;

    if (!direct && load) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++)
                scratch[i * width + j] = from_c
                                             ? p->beta * p->c[(m + i) * p->c_rs + (n + j) * p->c_cs]
                                             : out[i * p->out_rs + j * p->out_cs];
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = cols; j < width; j++) scratch[i * width + j] = 0;
    }
    if (!s->last) bias = NULL;
    if (width == LANES) tile_of_rows(rows, 1, s->kc, a, b, bias, load, c, ldc);
    else tile_of_rows(rows, 2, s->kc, a, b, bias, load, c, ldc);

    if (s->last && p->activation != FNN_IDENTITY)
        for (int64_t i = 0; i < rows; i++) activate(p->activation, c + i * ldc, c + i * ldc, cols);
    if (!direct)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++)
                out[i * p->out_rs + j * p->out_cs] = scratch[i * width + j];
}

/* Every tile of mc rows (packed in a) times nc columns (packed in b). */
static void compute_tiles(const product *p, const step *s, int64_t m0, int64_t mc, int64_t n0,
                          int64_t nc, const real *a, const real *b, const real *bias)
{
    /* 16 rows are 8 + 8, not 12 + 4. */
    const int64_t heights = ceil_div(mc, TILE_ROWS);
    for (int64_t j = 0; j < nc; j += TILE_COLS) {
        const int64_t cols = min_i64(TILE_COLS, nc - j);
        for (int64_t t = 0; t < heights; t++) {
            const range r = {mc * t / heights, mc * (t + 1) / heights};
            compute_tile(p, s, m0 + r.begin, r.end - r.begin, n0 + j, cols, a + r.begin * LDA, b,
                         bias ? bias + j : NULL);
        }
        b += s->kc * round_up(cols, LANES);
    }
}

void product_block(const product *p, range rows, range cols, void *workspace)
{
    real *a = workspace;
    real *b = a + round_up(packed_a_size(rows.end - rows.begin), FNN_ALIGN);
    real *padded_bias = b + packed_b_size(cols.end - cols.begin, p->K);
    for (int64_t n = cols.begin; n < cols.end; n += NC) {
        const int64_t nc = min_i64(NC, cols.end - n);
        real *bias = NULL;
        if (p->bias) {
            bias = padded_bias;
            for (int64_t j = 0; j < nc; j++) bias[j] = p->bias[(n + j) * p->bias_s];
            for (int64_t j = nc; j < round_up(nc, LANES); j++) bias[j] = 0;
        }
        int64_t k = 0;
        do { /* once even where K is 0 */
            const int64_t kc = min_i64(KC, p->K - k);
            const step s = {.kc = kc, .first = k == 0, .last = k + kc == p->K};
            pack_b(&p->b, k, kc, n, nc, b);
            for (int64_t m = rows.begin; m < rows.end; m += MC) {
                const int64_t mc = min_i64(MC, rows.end - m);
                pack_a(p, m, mc, k, kc, a);
                compute_tiles(p, &s, m, mc, n, nc, a, b, bias);
            }
            k += kc;
        } while (k < p->K);
    }
}

/* Members form a grid over the output. Of the grids with that many members, the one whose parts
 * have the least to pack: rows plus columns. */
static int grid_rows(int64_t M, int64_t N, int size)
{
    int best = 1;
    int64_t least = INT64_MAX;
    for (int rows = 1; rows <= size; rows++) {
        if (size % rows != 0) continue;
        const int64_t tall = round_up(ceil_div(M, rows), TILE_ROWS);
        const int64_t wide = round_up(ceil_div(N, size / rows), TILE_COLS);
        /* First the largest part's area, as the slowest member decides; packing breaks ties. */
        const int64_t cost = saturating_mul(saturating_mul(tall, wide), 16) + tall + wide;
        if (cost < least) {
            least = cost;
            best = rows;
        }
    }
    return best;
}

void product_run(const product *p, const fnn_team *team)
{
    const int down = grid_rows(p->M, p->N, team->size), across = team->size / down;
    const range rows = split(p->M, TILE_ROWS, team->rank / across, down);
    const range cols = split(p->N, TILE_COLS, team->rank % across, across);
    char *mine = (char *)team->workspace + (size_t)team->rank * product_workspace(p->M, p->N, p->K);
    product_block(p, rows, cols, mine);
}
