/* The register tile: the innermost product, ROWS x (VECS vectors) outputs held in registers. */
#ifndef FNN_TILE_H
#define FNN_TILE_H

#include "ops/vector.h"

/* The tile of packed panels is 2 vectors wide, of as many rows as leave registers for 2 vectors of
 * b and a broadcast: 12x32 f32 on AVX-512, 6x16 on AVX2, 12x8 on NEON, 6x8 on SSE2. */
enum { TILE_ROWS = REGISTERS == 32 ? 12 : 6, TILE_VECS = 2, TILE_COLS = TILE_VECS * LANES };

/* Where b is read in place, a low tile is wider, up to this, so that as many sums are under way:
 * one takes 4 cycles. */
enum { MAX_VECS = 8, MAX_COLS = MAX_VECS * LANES };

#define WIDEST(rows)                                                                               \
    (TILE_ROWS * TILE_VECS / (rows) < MAX_VECS ? TILE_ROWS * TILE_VECS / (rows) : MAX_VECS)

/* The most of K that a tile takes at once: its rows of a are 12 KB, for a 32 KB L1. Image patches
 * are copied row by row to distance LDA, so that the rows of a tile start in different sets of the
 * cache. */
enum { KC_MAX = 12288 / (TILE_ROWS * (int)sizeof(real)), LDA = KC_MAX + LANES };

/* What happens to finished sums before they are stored. */
typedef struct finish {
    bool any;
    const real *bias; /* or NULL; one stride is 0, columns are 0 or 1 apart */
    int64_t bias_rs, bias_cs;
    bool relu;
} finish;

/* Where a tile finds its operands. */
typedef enum tile_kind {
    PACKED,    /* a as pack_rows, b as pack_columns leaves it */
    A_ROWS,    /* rows of a, and of b, contiguous */
    A_STRIDED, /* rows of b contiguous */
} tile_kind;

/* Tiles side by side: the same rows of a, which stay in L1, meet one panel of b after another. */
typedef struct tile_args {
    int64_t count;
    int64_t kc;
    const real *a; /* rows x kc */
    int64_t a_rs, a_cs;
    const real *b;        /* kc x columns */
    int64_t b_rs, b_step; /* from one tile to the next, as is the other step */
    const real *start;    /* what the sums start from, times factor; NULL: 0 */
    int64_t start_rs;
    real factor;
    real *out; /* start moves as out does */
    int64_t out_rs, out_step;
    lanes last; /* of the last vector of columns */
    finish finish;
} tile_args;

static inline __attribute__((always_inline)) vec load_part(const real *from, const bool part,
                                                           lanes last)
{
    return part ? load_first(from, last) : *(const vec *)from;
}

static inline __attribute__((always_inline)) void finish_tile(const int rows, const int vecs,
                                                              const bool part, lanes last,
                                                              const finish *f, const real *from,
                                                              vec acc[TILE_ROWS][MAX_VECS])
{
    if (from && f->bias_cs != 0) {
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            const vec bias = load_part(from + v * LANES, part && v == vecs - 1, last);
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++) acc[r][v] += bias;
        }
    } else if (from) {
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) acc[r][v] += from[r * f->bias_rs];
    }
    if (f->relu)
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) /* NaN stays */
                acc[r][v] = (vec)((vec_bits)acc[r][v] & ~(vec_bits)(acc[r][v] <= 0));
}

/* "This pointer may be anything": or the compiler derives one from another again and again, for
 * want of registers. */
#define OPAQUE(x) __asm__("" : "+r"(x))

/* One k: acc[r][v] += a[r * a_rs] * b[v]. */
static inline __attribute__((always_inline)) void
add_one_k(const int rows, const int vecs, const bool part, lanes last, const real *a,
          const int64_t a_rs, const real *b, vec acc[TILE_ROWS][MAX_VECS])
{
    vec held[MAX_VECS]; /* the operand that there is less of: it is loaded once */
    /* Every third row of a: the others are one or two strides off. */
    const real *third[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 8
    for (int i = 0; i < (rows + 2) / 3; i++) third[i] = a + 3 * i * a_rs;
    if (rows < vecs) {
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) held[r] = broadcast(third[r / 3] + r % 3 * a_rs);
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            const vec bv = load_part(b + v * LANES, part && v == vecs - 1, last);
#pragma GCC unroll 16
            for (int r = 0; r < rows; r++) add_product(&acc[r][v], held[r], bv);
        }
    } else {
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++)
            held[v] = load_part(b + v * LANES, part && v == vecs - 1, last);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const vec ar = broadcast(third[r / 3] + r % 3 * a_rs);
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) add_product(&acc[r][v], ar, held[v]);
        }
    }
}

/* Tiles with a part of a vector are the rest of a row: unrolled they would only be more code. On
 * AVX-512 all tiles are of that kind. */
#if defined(__AVX512F__)
enum { UNROLL_PARTS = true };
#else
enum { UNROLL_PARTS = false };
#endif
#if defined(__FMA__) || defined(__aarch64__)
enum { UNROLL = 4 };
#else /* a product waits in a register for its sum: there is none left to load ahead */
enum { UNROLL = 1 };
#endif

/* acc[r][v] += a[r,k] * b[k,v], k ascending. Four k in one go, so that all but the products, loads
 * and broadcasts is little: a hardware thread that shares its core has only half of the
 * instructions per cycle (bench/gemm_tuning.md: up to 10 % of 768^3). Both operands are packed: */
static inline __attribute__((always_inline)) void add_packed_products(const int rows,
                                                                      const int vecs, int64_t k,
                                                                      const real *a, const real *b,
                                                                      vec acc[TILE_ROWS][MAX_VECS])
{
    for (; UNROLL > 1 && k >= UNROLL; k -= UNROLL) {
#pragma GCC unroll 4
        for (int u = 0; u < UNROLL; u++)
            add_one_k(rows, vecs, false, (lanes){0}, a + u * TILE_ROWS, 1, b + u * vecs * LANES,
                      acc);
        a += UNROLL * TILE_ROWS;
        b += UNROLL * vecs * LANES;
    }
    for (; k > 0; k--, a += TILE_ROWS, b += vecs * LANES)
        add_one_k(rows, vecs, false, (lanes){0}, a, 1, b, acc);
}

/* The same where operands have strides. Steps are taken one by one: multiples of the strides would
 * be kept, in memory, as there are too few registers. */
static inline __attribute__((always_inline)) void
add_products(const int rows, const int vecs, const bool part, const tile_kind kind,
             const tile_args *t, const real *a, const real *b, vec acc[TILE_ROWS][MAX_VECS])
{
    const int64_t a_rs = t->a_rs, a_cs = kind == A_ROWS ? 1 : t->a_cs;
    int64_t k = t->kc;
    for (; UNROLL > 1 && (UNROLL_PARTS || !part) && k >= UNROLL; k -= UNROLL) {
#pragma GCC unroll 4
        for (int u = 0; u < UNROLL; u++) {
            add_one_k(rows, vecs, part, t->last, a, a_rs, b, acc);
            b += t->b_rs;
            OPAQUE(b);
            a += a_cs;
            if (kind == A_STRIDED) OPAQUE(a);
        }
    }
    for (; k > 0; k--, a += a_cs, b += t->b_rs)
        add_one_k(rows, vecs, part, t->last, a, a_rs, b, acc);
}

/* out[r,j] = finish(start[r,j] * factor, then one fma(a[r,k], b[k,j], acc) per k ascending).
 * `rows`, `vecs`, `part` and `kind` are constants at every call, so that loops unroll and acc lives
 * in registers; part: the last vector of columns is loaded and stored in part. */
static inline __attribute__((always_inline)) void
tile(const int rows, const int vecs, const bool part, const tile_kind kind, const tile_args *t,
     const real *a, const real *b, const real *start, const real *bias, real *out)
{
    const int end = vecs - 1;
    const int64_t out_rs = t->out_rs;
    vec acc[TILE_ROWS][MAX_VECS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) acc[r][v] = (vec){0};
    if (start)
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++)
                acc[r][v] = t->factor * load_part(start + r * t->start_rs + v * LANES,
                                                  part && v == end, t->last);

    if (kind == PACKED) add_packed_products(rows, vecs, t->kc, a, b, acc);
    else add_products(rows, vecs, part, kind, t, a, b, acc);

    OPAQUE(t);
    if (t->finish.any) finish_tile(rows, vecs, part, t->last, &t->finish, bias, acc);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            real *to = out + r * out_rs + v * LANES;
            if (part && v == end) store_first(to, t->last, acc[r][v]);
            else *(vec *)to = acc[r][v];
        }
}

static inline __attribute__((always_inline)) void row_of_tiles(const int rows, const int vecs,
                                                               const bool part,
                                                               const tile_kind kind,
                                                               const tile_args *t)
{
    const real *a = t->a, *b = t->b, *start = t->start, *bias = t->finish.bias;
    real *out = t->out;
    for (int64_t i = t->count; i > 0; i--) {
        OPAQUE(t); /* what it points to is read anew, not held in registers that sums need */
        tile(rows, vecs, part, kind, t, a, b, start, bias, out);
        b += t->b_step;
        out += t->out_step;
        if (start) start += t->out_step;
        if (bias) bias += t->out_step * t->finish.bias_cs;
    }
}

/* The tiles of that size; vecs is 1, 2, or, of the A_ kinds, WIDEST(rows). */
#define run_tiles VARIANT(run_tiles)
void run_tiles(int rows, int vecs, bool part, tile_kind kind, const tile_args *t);

#endif
