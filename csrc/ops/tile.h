/* The register tile: the innermost product, ROWS x (VECS vectors) outputs held in registers. */
#ifndef FNN_TILE_H
#define FNN_TILE_H

#include "ops/real.h"

/* 2 vectors wide; as many rows as leave registers for 2 vectors of b and a broadcast:
 * 12x32 f32 on AVX-512, 6x16 on AVX2, 12x8 on NEON, 6x8 on SSE2. */
enum { TILE_ROWS = REGISTERS == 32 ? 12 : 6, TILE_VECS = 2, TILE_COLS = TILE_VECS * LANES };

/* A block of A is packed row by row with this fixed leading dimension: rows are copied, not
 * transposed, and the compiler addresses every row of a tile by a constant offset from one pointer.
 * KC + LANES, so that the rows of a tile start in different cache sets. */
enum { KC = 256, LDA = KC + LANES };

/* c[r,j] = (load ? c[r,j] : 0), then one fma per k ascending, then + bias[j] where bias is not
 * NULL. `rows` and `vecs` are constants at every call, so the loops unroll and acc lives in
 * registers.
 *
 * a: rows x kc, leading dimension LDA.  b: kc x (vecs * LANES), dense.  bias: vecs * LANES.
 * c: rows x (vecs * LANES), leading dimension ldc, columns contiguous. */
static inline __attribute__((always_inline)) void
tile(const int rows, const int vecs, int64_t kc, const real *restrict a, const real *restrict b,
     const real *restrict bias, bool load, real *restrict c, int64_t ldc)
{
    vec acc[TILE_ROWS][TILE_VECS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            acc[r][v] = load ? *(const vec *)(c + r * ldc + v * LANES) : (vec){0};

    for (int64_t k = 0; k < kc; k++) {
        vec bk[TILE_VECS];
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) bk[v] = *(const vec *)(b + v * LANES);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) acc[r][v] += a[r * LDA] * bk[v];
        a += 1;
        b += vecs * LANES;
    }

#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            if (bias) acc[r][v] += *(const vec *)(bias + v * LANES);
            *(vec *)(c + r * ldc + v * LANES) = acc[r][v];
        }
}

#endif
