/* Filters to 36 frequencies, G g G^T, and the way of their gradients back, G^T u G. */
#include "ops/source.h"
#include "ops/tile.h"
#include "ops/winograd.h"

/* Products of powers of the points, 1/sqrt(2) and sqrt(2), and what makes the transforms inverse:
 * -2/3 = 1/N'(+-1/sqrt(2)), 1/6 = 1/N'(+-sqrt(2)), N the polynomial with the points for zeros. */
static const real A = -REAL(2.0) / 3, AR = -REAL(0.47140452079103168293);
static const real B = REAL(1.0) / 6, BS = REAL(0.23570226039551584147);

/* u = G g, of `size` taps */
static inline __attribute__((always_inline)) void filter_1d(const int size, const vec *g,
                                                            vec u[SQUARE_IN])
{
    vec even_r = g[0] + REAL(0.5) * g[2], odd_r = g[1];
    vec even_s = g[0] + 2 * g[2], odd_s = g[1];
    if (size == 5) {
        even_r += REAL(0.25) * g[4], odd_r += REAL(0.5) * g[3];
        even_s += 4 * g[4], odd_s += 2 * g[3];
    }
    even_r *= A, odd_r *= AR;
    even_s *= B, odd_s *= BS;
    u[0] = g[0];
    u[1] = even_r + odd_r;
    u[2] = even_r - odd_r;
    u[3] = even_s + odd_s;
    u[4] = even_s - odd_s;
    u[5] = g[size - 1];
}

/* g = G^T u */
static inline __attribute__((always_inline)) void filter_gradient_1d(const int size,
                                                                     const vec u[SQUARE_IN], vec *g)
{
    const vec even_r = A * (u[1] + u[2]), even_s = B * (u[3] + u[4]);
    const vec odd_r = AR * (u[1] - u[2]), odd_s = BS * (u[3] - u[4]);
    g[0] = u[0] + (even_r + even_s);
    g[1] = odd_r + odd_s;
    g[2] = REAL(0.5) * even_r + 2 * even_s;
    if (size == 5) {
        g[3] = REAL(0.5) * odd_r + 2 * odd_s;
        g[4] = REAL(0.25) * even_r + 4 * even_s;
    }
    g[size - 1] += u[5];
}

/* Tap t of all filters, the outputs in rows of `width`: to[t * count * width + k * width + j]. */
static void gather_taps(const filters *w, int64_t k, int64_t count, int64_t n, int64_t cols,
                        int64_t width, real *to)
{
    for (int64_t t = 0; t < w->size * w->size; t++) {
        real *tap = to + t * count * width;
        const source from = strided_source(w->base + t * w->tap, w->row, w->col);
        if (cols < width)
            for (int64_t i = 0; i < count; i++)
                for (int64_t j = cols; j < width; j++) tap[i * width + j] = 0;
        source_copy(&from, k, count, n, cols, tap, width);
    }
}

/* G g G^T of `length` elements of each tap, taps `length` apart. */
static inline __attribute__((always_inline)) void
transform_taps(const int size, const real *taps, int64_t length, real *to, int64_t f_step)
{
    for (int64_t at = 0; at < length; at += LANES) {
        vec half[SQUARE_IN][MAX_KERNEL];
#pragma GCC unroll 5
        for (int j = 0; j < size; j++) {
            vec g[MAX_KERNEL], u[SQUARE_IN];
#pragma GCC unroll 5
            for (int i = 0; i < size; i++)
                g[i] = *(const vec *)(taps + (i * size + j) * length + at);
            filter_1d(size, g, u);
#pragma GCC unroll 6
            for (int i = 0; i < SQUARE_IN; i++) half[i][j] = u[i];
        }
        for (int i = 0; i < SQUARE_IN; i++) {
            vec u[SQUARE_IN];
            filter_1d(size, half[i], u);
#pragma GCC unroll 6
            for (int j = 0; j < SQUARE_IN; j++)
                *(vec *)(to + (i * SQUARE_IN + j) * f_step + at) = u[j];
        }
    }
}

void winograd_filters(const filters *w, int64_t k, int64_t count, int64_t n, int64_t cols, real *to,
                      int64_t f_step, real *scratch)
{
    gather_taps(w, k, count, n, cols, TILE_COLS, scratch);
    if (w->size == 3) transform_taps(3, scratch, count * TILE_COLS, to, f_step);
    else transform_taps(5, scratch, count * TILE_COLS, to, f_step);
}

/* (add ? dw : 0) + G^T u G of a vector of channels, u at from[f * f_step], taps of dw C apart. */
static inline __attribute__((always_inline)) void filter_gradient(const int size, const real *from,
                                                                  int64_t f_step, lanes some,
                                                                  int64_t C, bool add, real *dw)
{
    vec half[MAX_KERNEL][SQUARE_IN];
    for (int j = 0; j < SQUARE_IN; j++) {
        vec u[SQUARE_IN], g[MAX_KERNEL];
#pragma GCC unroll 6
        for (int i = 0; i < SQUARE_IN; i++)
            u[i] = *(const vec *)(from + (i * SQUARE_IN + j) * f_step);
        filter_gradient_1d(size, u, g);
#pragma GCC unroll 5
        for (int i = 0; i < size; i++) half[i][j] = g[i];
    }
    for (int i = 0; i < size; i++) {
        vec g[MAX_KERNEL];
        filter_gradient_1d(size, half[i], g);
#pragma GCC unroll 5
        for (int j = 0; j < size; j++) {
            real *to = dw + (i * size + j) * C;
            if (add) g[j] += load_first(to, some);
            store_first(to, some, g[j]);
        }
    }
}

void winograd_filter_gradients(int64_t size, const real *du, int64_t f_step, int64_t row,
                               int64_t outputs, int64_t channels, int64_t C, bool add, real *dw)
{
    for (int64_t o = 0; o < outputs; o++)
        for (int64_t c = 0; c < channels; c += LANES) {
            const lanes some = first_lanes(min_i64(channels - c, LANES));
            const real *from = du + o * row + c;
            real *to = dw + o * size * size * C + c;
            if (size == 3) filter_gradient(3, from, f_step, some, C, add, to);
            else filter_gradient(5, from, f_step, some, C, add, to);
        }
}
