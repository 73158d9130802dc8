/* Pixels in lanes: rows by channel, and the tile of neighbouring pixels. */
#include "ops/conv_direct.h"
#include "ops/tile.h"

/* Where channels are 3 or 6 the loops have constants in place of multiples of C: 10 % of a forward
 * convolution from 1 to 6 channels, 3x3 or 5x5. */

static inline __attribute__((always_inline)) void split_pixels(const real *restrict pixels,
                                                               const int64_t stride, int64_t n,
                                                               const int64_t C,
                                                               real *restrict planes, int64_t ld)
{
    /* A quad of a pixel with fewer channels reaches into the next one, which the last one lacks. */
    const int64_t whole = C >= QUAD ? n : max_i64(0, n - QUAD);
    int64_t i = 0;
    for (; i + LANES <= whole; i += LANES)
        for (int64_t c = 0; c < C; c += QUAD) {
            if (C >= QUAD) c = min_i64(c, C - QUAD);
            vec t[QUAD];
            load_transposed(pixels + i * stride + c, stride, t);
#pragma GCC unroll 4
            for (int q = 0; q < QUAD; q++)
                if (q < C) *(vec *)(planes + (c + q) * ld + i) = t[q];
        }
    for (; i < n; i++)
        for (int64_t c = 0; c < C; c++) planes[c * ld + i] = pixels[i * stride + c];
}

void split_channels(const real *restrict pixels, int64_t stride, int64_t n, int64_t C,
                    real *restrict planes, int64_t ld)
{
    if (C == 1 && stride == 1) memcpy(planes, pixels, (size_t)n * sizeof(real));
    else if (C == 6 && stride == 6) split_pixels(pixels, 6, n, 6, planes, ld);
    else split_pixels(pixels, stride, n, C, planes, ld);
}

static inline __attribute__((always_inline)) void join_planes(const real *restrict planes,
                                                              int64_t ld, int64_t n,
                                                              const int64_t C,
                                                              real *restrict pixels)
{
    /* A quad of a pixel with fewer channels reaches into the next pixel, which is stored later. */
    const int64_t whole = C >= QUAD ? n : max_i64(0, n - QUAD);
    int64_t i = 0;
    for (; i < whole && whole >= LANES; i += LANES) {
        i = min_i64(i, whole - LANES);
        for (int64_t c = 0; c < C; c += QUAD) {
            if (C >= QUAD) c = min_i64(c, C - QUAD);
            vec r[QUAD], t[QUAD];
#pragma GCC unroll 4
            for (int q = 0; q < QUAD; q++) r[q] = *(const vec *)(planes + (c + q) * ld + i);
            transpose_quads(r, t);
            real *to = pixels + i * C + c;
#pragma GCC unroll 16
            for (int p = 0; p < LANES; p++)
                *(quad *)(to + p * C) = *((const quad *)&t[p % QUAD] + p / QUAD);
        }
    }
    for (; i < n; i++)
        for (int64_t c = 0; c < C; c++) pixels[i * C + c] = planes[c * ld + i];
}

void join_channels(const real *restrict planes, int64_t ld, int64_t n, int64_t C,
                   real *restrict pixels)
{
    if (C == 1) memcpy(pixels, planes, (size_t)n * sizeof(real));
    else if (C == 3) join_planes(planes, ld, n, 3, pixels);
    else if (C == 6) join_planes(planes, ld, n, 6, pixels);
    else join_planes(planes, ld, n, C, pixels);
}

/* ---- the tile -------------------------------------------------------------------------------- */

/* One tap for a vector or more of two rows: the weights are held. */
static inline __attribute__((always_inline)) void add_two_rows(const int channels, const int vecs,
                                                               const real *weights, const real *x0,
                                                               const real *x1,
                                                               vec acc[TILE_ROWS][MAX_VECS])
{
    vec held[TILE_ROWS];
#pragma GCC unroll 2
    for (int i = 0; i < channels; i++) held[i] = broadcast(weights + i);
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++) {
        const vec a = *(const vec *)(x0 + v * LANES), b = *(const vec *)(x1 + v * LANES);
#pragma GCC unroll 2
        for (int i = 0; i < channels; i++) {
            add_product(&acc[i][v], held[i], a);
            add_product(&acc[i][vecs + v], held[i], b);
        }
    }
}

static inline __attribute__((always_inline)) void
pixel_tile(const int channels, const int groups, const int vecs, const pixel_tiles *t, int64_t at)
{
    vec acc[TILE_ROWS][MAX_VECS];
#pragma GCC unroll 8
    for (int i = 0; i < channels; i++)
#pragma GCC unroll 8
        for (int v = 0; v < groups * vecs; v++) acc[i][v] = (vec){0};
    for (int64_t r = 0; r < t->rows; r++) {
        const real *x0 = t->seen[0][r] + at;
        const real *x1 = groups == 2 ? t->seen[1][r] + at : NULL;
        const real *w = t->weights + t->kernel_row[r] * t->taps * channels;
        const int64_t *offset = t->offset, *end = offset + t->taps;
        for (; offset < end; offset++, w += channels) {
            if (groups == 2) add_two_rows(channels, vecs, w, x0 + *offset, x1 + *offset, acc);
            else add_one_k(channels, vecs, false, (lanes){0}, w, 1, x0 + *offset, acc);
        }
    }
    const finish f = {.bias_rs = 1, .relu = t->relu};
    finish_tile(channels, groups * vecs, false, (lanes){0}, &f, t->bias, acc);
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++)
#pragma GCC unroll 8
        for (int i = 0; i < channels; i++)
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++)
                *(vec *)(t->out + g * t->out_group + i * t->out_ld + at + v * LANES) =
                    acc[i][g * vecs + v];
}

/* A row of tiles, as wide as leaves registers, then narrower ones. */
static inline __attribute__((always_inline)) void
row_of_pixels(const int channels, const int groups, int64_t vecs, const pixel_tiles *t)
{
    const int wide = channels <= 2 / groups || (channels == 3 && groups == 1) ? 4 : 2;
    int64_t v = 0;
    for (; v + wide <= vecs; v += wide) pixel_tile(channels, groups, wide, t, v * LANES);
    if (wide == 4 && v + 2 <= vecs) {
        pixel_tile(channels, groups, 2, t, v * LANES);
        v += 2;
    }
    if (v < vecs) pixel_tile(channels, groups, 1, t, v * LANES);
}

/* The switch makes `channels` a constant. */
void run_pixel_tiles(int channels, int groups, int64_t vecs, const pixel_tiles *t)
{
    switch (channels) {
    case 1:
        if (groups == 2) row_of_pixels(1, 2, vecs, t);
        else row_of_pixels(1, 1, vecs, t);
        break;
    case 2:
        if (groups == 2) row_of_pixels(2, 2, vecs, t);
        else row_of_pixels(2, 1, vecs, t);
        break;
    case 3:
        row_of_pixels(3, 1, vecs, t);
        break;
    case 4:
        row_of_pixels(4, 1, vecs, t);
        break;
    case 5:
        row_of_pixels(5, 1, vecs, t);
        break;
    case 6:
        row_of_pixels(6, 1, vecs, t);
        break;
    }
}
