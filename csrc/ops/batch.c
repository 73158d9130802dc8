/* Small products one after another, in strips of columns: a few vectors, the last of which overlaps
 * the one before rather than being used in part. What is decided for each product or block of rows
 * costs as much as the arithmetic, so there is little of it: no epilogue, no unrolling over K, no
 * third way to read an operand (bench/gemm_tuning.md). */
#include "ops/batch.h"

#include "ops/gemv.h"
#include "ops/tile.h"

/* Blocks of rows in a strip: as many sums as registers hold, and, where the product has only one or
 * two rows, as many as must be under way at once. */
enum { STRIP_ROWS = 6, STRIP_VECS = 8 };
#define HEIGHT(vecs) ((vecs) < 3 ? STRIP_ROWS : (vecs) == 3 ? 4 : (vecs) == 4 ? 2 : 1)

static inline int64_t widest(int64_t M)
{
    return M == 1 ? STRIP_VECS : M == 2 ? 4 : 3;
}

/* The same columns of products that follow each other at equal steps. */
typedef struct strip {
    int64_t count, M, K;
    const real *a, *b;
    real *out;
    int64_t a_rs, a_cs, b_rs, out_rs;
    int64_t a_step, b_step, out_step;
    int64_t last_at; /* the column at which the last of several vectors begins */
    lanes part;      /* of the only vector, where there are fewer columns */
} strip;

static inline __attribute__((always_inline)) int64_t vector_at(const int v, const int vecs,
                                                               const strip *s)
{
    return v > 0 && v == vecs - 1 ? s->last_at : v * LANES;
}

/* `rows`, `vecs` and `part` are constants at every call. */
static inline __attribute__((always_inline)) void multiply_rows(const int rows, const int vecs,
                                                                const bool part, const strip *s,
                                                                const real *a, const real *b,
                                                                real *out)
{
    vec acc[STRIP_ROWS][STRIP_VECS];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) acc[i][v] = (vec){0};
    for (int64_t k = s->K; k > 0; k--, a += s->a_cs, b += s->b_rs) {
        const real *fourth = a + 3 * s->a_rs;
        vec held[STRIP_VECS];
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++)
            held[v] = load_part(b + vector_at(v, vecs, s), part, s->part);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            const vec ai = broadcast(i < 3 ? a + i * s->a_rs : fourth + (i - 3) * s->a_rs);
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) add_product(&acc[i][v], ai, held[v]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++, out += s->out_rs)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            if (part) store_first(out, s->part, acc[i][v]);
            else *(vec *)(out + vector_at(v, vecs, s)) = acc[i][v];
        }
}

#define ROWS(r)                                                                                    \
    case r:                                                                                        \
        if (r <= HEIGHT(vecs)) multiply_rows(r, vecs, part, &s, a, b, out);                        \
        break;

/* Rows in blocks of nearly equal height. */
static inline __attribute__((always_inline)) void multiply_strip(const int vecs, const bool part,
                                                                 const strip *from)
{
    const strip s = *from; /* what no store can change */
    const int64_t blocks = ceil_div(s.M, HEIGHT(vecs)), low = s.M / blocks, high = s.M % blocks;
    const real *first_a = s.a, *b = s.b;
    real *first_out = s.out;
    for (int64_t n = s.count; n > 0; n--) {
        const real *a = first_a;
        real *out = first_out;
        for (int64_t i = 0; i < blocks; i++) {
            const int64_t rows = low + (i < high);
            switch (rows) {
                ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)
            }
            a += rows * s.a_rs;
            out += rows * s.out_rs;
        }
        first_a += s.a_step;
        b += s.b_step;
        first_out += s.out_step;
    }
}

static void multiply_columns(int64_t vecs, bool part, const strip *s)
{
    switch (vecs) {
    case 1:
        if (part) multiply_strip(1, true, s);
        else multiply_strip(1, false, s);
        break;
    case 2:
        multiply_strip(2, false, s);
        break;
    case 3:
        multiply_strip(3, false, s);
        break;
    case 4:
        multiply_strip(4, false, s);
        break;
    case 5:
        multiply_strip(5, false, s);
        break;
    case 6:
        multiply_strip(6, false, s);
        break;
    case 7:
        multiply_strip(7, false, s);
        break;
    case 8:
        multiply_strip(8, false, s);
        break;
    }
}

/* All columns, N of them. */
static void multiply(const strip *first, int64_t N)
{
    strip s = *first;
    if (N < LANES) {
        s.part = first_lanes(N);
        multiply_columns(1, true, &s);
        return;
    }
    const int64_t vecs = ceil_div(N, LANES), strips = ceil_div(vecs, widest(s.M));
    int64_t n = 0;
    for (int64_t i = 0, wide; i < strips; i++, n += wide * LANES) {
        wide = vecs / strips + (i < vecs % strips);
        const int64_t at = min_i64(n, N - LANES);
        s.b = first->b + at;
        s.out = first->out + at;
        s.last_at = min_i64(wide * LANES, N - n) - LANES;
        multiply_columns(wide, false, &s);
    }
}

enum {
    MOST_OF_B = 32768 / sizeof(real), /* that is copied, or read for one row: an L1 */
    CHUNK = 4096 / sizeof(real),      /* numbers that stay in L1 from one strip to the next */
};

static bool is_copied(const source *b, int64_t N)
{
    return b->col_stride != 1 && N > 1;
}

bool product_is_small(const product *p)
{
    enum { WORK = 64 * 64 * 64 };
    if (p->M == 0 || p->N == 0 || p->K > KC_MAX || product_work(p) > WORK) return false;
    if (!source_is_matrix(&p->a) || !source_is_matrix(&p->b) || p->packed_b) return false;
    const bool copied = is_copied(&p->b, p->N);
    if (is_gemv(p) && copied) return false;
    if ((is_gemv(p) || copied) && p->K * p->N > MOST_OF_B) return false;
    return p->out_cs == 1 && p->alpha == 1 && p->beta == 0 && !p->bias && !p->mask &&
           !p->mask_out && p->activation == FNN_IDENTITY;
}

void product_batch(const product *p, int64_t count, int64_t a_step, int64_t b_step,
                   int64_t out_step)
{
    const int64_t M = p->M, N = p->N, K = p->K;
    real memory[MOST_OF_B];
    source b = p->b;
    b.base += b.row_offset * b.row_stride;
    b.row_offset = 0;
    const bool copied = is_copied(&b, N);
    strip s = {.M = M, .K = K, .a_step = a_step, .b_step = b_step, .out_step = out_step};
    s.a = p->a.base + p->a.row_offset * p->a.row_stride;
    s.a_rs = p->a.row_stride;
    s.a_cs = p->a.col_stride;
    s.b = copied ? memory : b.base;
    s.b_rs = copied ? N : b.row_stride;
    s.out = p->out;
    s.out_rs = p->out_rs;
    int64_t chunk = count;
    if (copied) chunk = 1;
    else if (N > widest(M) * LANES) chunk = max_i64(1, CHUNK / (M * K + (M + K) * N));
    for (; count > 0; count -= s.count) {
        s.count = min_i64(chunk, count);
        if (copied) source_copy(&b, 0, K, 0, N, memory, N);
        multiply(&s, N);
        b.base += s.count * b_step;
        s.a += s.count * a_step;
        if (!copied) s.b = b.base;
        s.out += s.count * out_step;
    }
}
