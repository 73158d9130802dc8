/* Loops around the register tile, in the order of Goto and van de Geijn 2008 with the roles of the
 * caches exchanged:
 *
 *     for each MC rows of the output
 *         for each KC of K                   pack A (MC x KC), tile by tile
 *             for each NC columns            pack B (KC x NC), panel by panel: it stays in L2
 *                 for each tile of rows      its part of A stays in L1
 *                     for each panel of B
 *
 * so that B streams by in order of its addresses and the output is written along its rows. (A panel
 * of B in L1 and a block of A streaming from L2 is 2 to 20 % slower, the more the busier the other
 * hardware thread of the core: bench/gemm_tuning.md.) Either packing is left out where tiles read
 * the operand in place (blocking.c). A later block of K goes on from what the earlier ones left in
 * the output, so an output is one chain of fma however it is blocked. */
#include "ops/product.h"

#include "ops/activation.h"
#include "ops/gemv.h"
#include "ops/panels.h"

/* Multiply-adds that pay for one more member, some 2 us: 60^3 is 1.4 times as fast on two cores. */
static const int64_t WORK_PER_MEMBER = 100000;

/* ---- workspace ------------------------------------------------------------------------------- */

static inline int64_t packed_a_size(const product *p, const blocking *s)
{
    if (s->a == A_IN_PLACE) return 0;
    const int64_t tiles = ceil_div(min_i64(p->M, s->MC), TILE_ROWS);
    return round_up(s->a == A_PACKED ? tiles * packed_rows_size(s->KC) : TILE_ROWS * LDA,
                    FNN_ALIGN);
}

static inline int64_t packed_b_size(const product *p, const blocking *s)
{
    if (s->b != B_PACKED || p->packed_b) return 0;
    return min_i64(round_up(p->N, TILE_COLS), s->NC) * s->KC;
}

size_t product_workspace(const product *p, const blocking *s)
{
    if (is_gemv(p)) return 0;
    const int64_t reals = packed_a_size(p, s) + packed_b_size(p, s);
    return (size_t)round_up(reals * (int64_t)sizeof(real), FNN_ALIGN);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* What the loops have arrived at. */
typedef struct step {
    const product *p;
    const blocking *blocking;
    tile_kind kind;
    real *rows, *panels; /* packed */
    int64_t n, nc, k, kc;
    bool first, last; /* of the blocks of K */
} step;

void finish_row(const product *p, int64_t m, int64_t n, int64_t cols, real *out)
{
    if (p->activation != FNN_IDENTITY) activate(p->activation, out, out, cols);
    if (p->mask_out) {
        uint8_t *to = p->mask_out + m * p->mask_out_rs + n;
        for (int64_t j = 0; j < cols; j++) to[j] = out[j] != 0;
    }
    if (p->mask) {
        const uint8_t *mask = p->mask + m * p->mask_rs + n;
        for (int64_t j = 0; j < cols; j++) out[j] = mask[j] ? out[j] : 0;
    }
}

/* Where tiles that begin at row m and column n start from, what they do last and where they store
 * it, the columns of all of these being contiguous. */
static void find_outputs(const step *s, tile_args *t, int64_t m, int64_t n)
{
    const product *p = s->p;
    t->out = p->out + m * p->out_rs + n;
    t->out_rs = p->out_rs;
    t->factor = 1;
    t->start = s->first ? NULL : t->out;
    t->start_rs = p->out_rs;
    if (s->first && p->beta != 0) {
        t->factor = p->beta;
        t->start = p->c + m * p->c_rs + n;
        t->start_rs = p->c_rs;
    }
    t->finish.bias = NULL;
    t->finish.relu = s->last && p->activation == FNN_RELU;
    if (s->last && p->bias) {
        t->finish.bias = p->bias + m * p->bias_rs + n * p->bias_cs;
        t->finish.bias_rs = p->bias_rs;
        t->finish.bias_cs = p->bias_cs;
    }
    t->finish.any = t->finish.relu || t->finish.bias;
}

/* Tiles side by side that are equally wide. */
typedef struct run {
    int64_t begin, cols, count;
    int vecs;
    lanes last; /* of a tile's last vector */
} run;

static inline run make_run(int64_t begin, int64_t cols, int64_t count)
{
    const int64_t vecs = ceil_div(cols, LANES);
    return (run){begin, cols, count, (int)vecs, first_lanes(cols - (vecs - 1) * LANES)};
}

/* t->count tiles at row m and column n; t has the operands. */
static void compute_direct(const step *s, tile_args *t, const run *r, int64_t m, int64_t rows,
                           int64_t n)
{
    const product *p = s->p;
    find_outputs(s, t, m, n);
    t->out_step = r->cols;
    t->last = r->last;
    run_tiles((int)rows, r->vecs, r->last.n < LANES, s->kind, t);
    if (s->last && (p->activation > FNN_RELU || p->mask || p->mask_out))
        for (int64_t i = 0; i < rows; i++) /* while it is in L1; a second ReLU changes nothing */
            finish_row(p, m + i, n, r->cols * t->count, t->out + i * t->out_rs);
}

/* The same where columns of the output, of c or of the bias are not contiguous: by way of a scratch
 * tile. */
static void compute_scattered(const step *s, tile_args *t, const run *r, int64_t m, int64_t rows,
                              int64_t n)
{
    const product *p = s->p;
    const int64_t cols = r->cols;
    real scratch[TILE_ROWS * MAX_COLS], bias[MAX_COLS];
    real *out = p->out + m * p->out_rs + n * p->out_cs;
    const real *start = out;
    int64_t rs = p->out_rs, cs = p->out_cs;
    if (s->first && p->beta != 0) {
        start = p->c + m * p->c_rs + n * p->c_cs;
        rs = p->c_rs;
        cs = p->c_cs;
    }
    if (!s->first || p->beta != 0)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++) scratch[i * cols + j] = start[i * rs + j * cs];

    product small = *p; /* whose output is the scratch tile */
    small.out = scratch;
    small.out_rs = cols;
    small.c = scratch;
    small.c_rs = cols;
    if (p->mask) small.mask = p->mask + m * p->mask_rs + n;
    if (p->mask_out) small.mask_out = p->mask_out + m * p->mask_out_rs + n;
    if (p->bias) {
        small.bias = p->bias + m * p->bias_rs + n * p->bias_cs;
        if (p->bias_cs != 0) {
            for (int64_t j = 0; j < cols; j++) bias[j] = small.bias[j * p->bias_cs];
            small.bias = bias;
            small.bias_cs = 1;
        }
    }
    step on_small = *s;
    on_small.p = &small;
    compute_direct(&on_small, t, r, 0, rows, 0);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            out[i * p->out_rs + j * p->out_cs] = scratch[i * cols + j];
}

/* Where the tiles of a run find b. */
static void find_panels(const step *s, tile_args *t, const run *r)
{
    const product *p = s->p;
    const source *b = &p->b;
    const int64_t n = s->n + r->begin;
    if (s->blocking->b == B_PACKED) {
        t->b = p->packed_b ? p->packed_b + s->k * round_up(p->N, TILE_COLS) + n * s->kc
                           : s->panels + r->begin * s->kc;
        t->b_rs = round_up(r->cols, LANES);
        t->b_step = r->cols * s->kc;
    } else {
        t->b = b->base + (b->row_offset + s->k) * b->row_stride + n;
        t->b_rs = b->row_stride;
        t->b_step = r->cols;
    }
}

/* Where tile i, of rows [m, m + rows), finds its a. */
static void find_rows(const step *s, tile_args *t, int64_t i, int64_t m, int64_t rows)
{
    const source *a = &s->p->a;
    switch (s->blocking->a) {
    case A_PACKED:
        t->a = s->rows + i * packed_rows_size(s->kc);
        break;
    case A_COPIED:
        source_copy(a, m, rows, s->k, s->kc, s->rows, LDA);
        t->a = s->rows;
        t->a_rs = LDA;
        t->a_cs = 1;
        break;
    case A_IN_PLACE:
        t->a = a->base + (a->row_offset + m) * a->row_stride + s->k * a->col_stride;
        t->a_rs = a->row_stride;
        t->a_cs = a->col_stride;
        break;
    }
}

static bool is_scattered(const product *p)
{
    return p->out_cs != 1 || (p->beta != 0 && p->c_cs != 1) ||
           (p->bias && p->bias_cs != 0 && p->bias_cs != 1);
}

/* Columns [s->n, s->n + s->nc) in runs of tiles: as wide as they get, then narrower ones, then the
 * rest. Returns how many runs there are. */
static int cut_columns(const step *s, int64_t height, run runs[3])
{
    const int64_t narrow = TILE_COLS;
    const int64_t wide = s->blocking->b == B_IN_PLACE ? WIDEST(height) * LANES : narrow;
    int count = 0;
    int64_t begin = 0;
    if (s->nc >= wide) {
        runs[count] = make_run(0, wide, s->nc / wide);
        begin = wide * runs[count++].count;
    }
    if (narrow < wide && s->nc - begin >= narrow) {
        runs[count] = make_run(begin, narrow, (s->nc - begin) / narrow);
        begin += narrow * runs[count++].count;
    }
    if (begin < s->nc) runs[count++] = make_run(begin, s->nc - begin, 1);
    return count;
}

/* Columns [s->n, s->n + s->nc) and one block of K, for the rows from m on. */
static void compute_step(const step *s, int64_t m, const tiling *cut)
{
    const product *p = s->p;
    if (s->blocking->b == B_PACKED && !p->packed_b)
        pack_columns(&p->b, s->k, s->kc, s->n, s->nc, s->panels);
    run runs[3];
    const int count = cut_columns(s, tile_height(cut, 0), runs);
    const bool scattered = is_scattered(p);
    tile_args t;
    t.kc = s->kc;
    for (int64_t i = 0; i < cut->tiles; i++) {
        const int64_t rows = tile_height(cut, i);
        find_rows(s, &t, i, m, rows);
        for (int r = 0; r < count; r++) {
            find_panels(s, &t, &runs[r]);
            int64_t n = s->n + runs[r].begin;
            t.count = scattered ? 1 : runs[r].count;
            if (!scattered) compute_direct(s, &t, &runs[r], m, rows, n);
            else
                for (int64_t j = 0; j < runs[r].count; j++, n += runs[r].cols, t.b += t.b_step)
                    compute_scattered(s, &t, &runs[r], m, rows, n);
        }
        m += rows;
    }
}

static tile_kind kind_of(const product *p, const blocking *s)
{
    if (s->a == A_PACKED) return PACKED;
    return s->a == A_COPIED || p->a.col_stride == 1 ? A_ROWS : A_STRIDED;
}

void product_block(const product *p, const blocking *blocking, range rows, range cols,
                   void *workspace)
{
    if (is_gemv(p)) {
        if (rows.begin < rows.end) gemv(p, cols);
        return;
    }
    step s = {.p = p, .blocking = blocking, .kind = kind_of(p, blocking), .rows = workspace};
    if (workspace) s.panels = s.rows + packed_a_size(p, blocking);
    for (int64_t m = rows.begin; m < rows.end; m += blocking->MC) {
        const tiling cut = cut_rows(min_i64(blocking->MC, rows.end - m));
        s.k = 0;
        do { /* once even where K is 0 */
            s.kc = min_i64(blocking->KC, p->K - s.k);
            s.first = s.k == 0;
            s.last = s.k + s.kc == p->K;
            if (blocking->a == A_PACKED) pack_rows(&p->a, m, &cut, s.k, s.kc, p->alpha, s.rows);
            for (s.n = cols.begin; s.n < cols.end; s.n += s.nc) {
                s.nc = min_i64(blocking->NC, cols.end - s.n);
                compute_step(&s, m, &cut);
            }
            s.k += s.kc;
        } while (s.k < p->K);
    }
}

/* ---- the team -------------------------------------------------------------------------------- */

int64_t product_work(const product *p)
{
    return saturating_mul(saturating_mul(p->M, round_up(p->N, LANES)), p->K);
}

int product_members(int64_t work, int max_members)
{
    return members_for(work, WORK_PER_MEMBER, max_members);
}

fnn_plan product_plan(const product *p, int max_members)
{
    const int64_t tiles = saturating_mul(ceil_div(p->M, TILE_ROWS), ceil_div(p->N, TILE_COLS));
    const int members = product_members(product_work(p), (int)min_i64(max_members, tiles));
    const blocking s = product_blocking(p);
    return (fnn_plan){members, (size_t)members * product_workspace(p, &s)};
}

/* Members form a grid over the output. Of the grids with that many members, the one whose parts
 * have the least to pack: rows plus columns. */
static int grid_rows(int64_t M, int64_t N, int size)
{
    int best = 1;
    int64_t least = INT64_MAX;
    for (int rows = 1; rows <= size; rows++) {
        if (size % rows != 0) continue;
        const int64_t tall = ceil_div(M, rows); /* tiles of any height are about as good */
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
    const blocking s = product_blocking(p);
    if (team->size == 1) {
        product_block(p, &s, (range){0, p->M}, (range){0, p->N}, team->workspace);
        return;
    }
    const int down = grid_rows(p->M, p->N, team->size), across = team->size / down;
    const range rows = split(p->M, 1, team->rank / across, down);
    const range cols = split(p->N, TILE_COLS, team->rank % across, across);
    char *mine = (char *)team->workspace + (size_t)team->rank * product_workspace(p, &s);
    product_block(p, &s, rows, cols, mine);
}

void product_pack(const source *b, int64_t K, int64_t N, range cols, real *to)
{
    const product p = {.M = 1, .N = N, .K = K, .packed_b = to};
    const int64_t KC = product_blocking(&p).KC;
    for (int64_t k = 0; k < K; k += KC) {
        const int64_t kc = min_i64(KC, K - k);
        pack_columns(b, k, kc, cols.begin, cols.end - cols.begin,
                     to + k * round_up(N, TILE_COLS) + cols.begin * kc);
    }
}
