/* Filters to 36 frequencies, G g G^T, and the way of their gradients back, G^T u G. */
#include "ops/source.h"
#include "ops/tile.h"
#include "ops/winograd.h"

/* Products of powers of the points, 1/sqrt(2) and sqrt(2), and what makes the transforms inverse:
 * -2/3 = 1/N'(+-1/sqrt(2)), 1/6 = 1/N'(+-sqrt(2)), N the polynomial with the points for zeros. */
static const real A = -REAL(2.0) / 3, AR = -REAL(0.47140452079103168293);
static const real B = REAL(1.0) / 6, BS = REAL(0.23570226039551584147);

/* u = G g */
static inline __attribute__((always_inline)) void filter_1d(const vec g[3], vec u[SQUARE_IN])
{
    const vec even_r = A * (g[0] + REAL(0.5) * g[2]), odd_r = AR * g[1];
    const vec even_s = B * (g[0] + 2 * g[2]), odd_s = BS * g[1];
    u[0] = g[0];
    u[1] = even_r + odd_r;
    u[2] = even_r - odd_r;
    u[3] = even_s + odd_s;
    u[4] = even_s - odd_s;
    u[5] = g[2];
}

/* g = G^T u */
static inline __attribute__((always_inline)) void filter_gradient_1d(const vec u[SQUARE_IN],
                                                                     vec g[3])
{
    const vec even_r = A * (u[1] + u[2]), even_s = B * (u[3] + u[4]);
    g[0] = u[0] + (even_r + even_s);
    g[1] = AR * (u[1] - u[2]) + BS * (u[3] - u[4]);
    g[2] = u[5] + (REAL(0.5) * even_r + 2 * even_s);
}

/* Tap t of all filters, the outputs in rows of `width`: to[t * count * width + k * width + j]. */
static void gather_taps(const filters *w, int64_t k, int64_t count, int64_t n, int64_t cols,
                        int64_t width, real *to)
{
    for (int t = 0; t < TAPS; t++) {
        real *tap = to + t * count * width;
        const source from = strided_source(w->base + t * w->tap, w->row, w->col);
        if (cols < width)
            for (int64_t i = 0; i < count; i++)
                for (int64_t j = cols; j < width; j++) tap[i * width + j] = 0;
        source_copy(&from, k, count, n, cols, tap, width);
    }
}

void winograd_filters(const filters *w, int64_t k, int64_t count, int64_t n, int64_t cols, real *to,
                      int64_t f_step, real *scratch)
{
    const int64_t width = TILE_COLS, tap = count * width;
    gather_taps(w, k, count, n, cols, width, scratch);
    for (int64_t at = 0; at < tap; at += LANES) {
        vec half[SQUARE_IN][3];
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            vec g[3], u[SQUARE_IN];
#pragma GCC unroll 3
            for (int i = 0; i < 3; i++) g[i] = *(const vec *)(scratch + (i * 3 + j) * tap + at);
            filter_1d(g, u);
#pragma GCC unroll 6
            for (int i = 0; i < SQUARE_IN; i++) half[i][j] = u[i];
        }
        for (int i = 0; i < SQUARE_IN; i++) {
            vec u[SQUARE_IN];
            filter_1d(half[i], u);
#pragma GCC unroll 6
            for (int j = 0; j < SQUARE_IN; j++)
                *(vec *)(to + (i * SQUARE_IN + j) * f_step + at) = u[j];
        }
    }
}

void winograd_filter_gradients(const real *du, int64_t f_step, int64_t row, int64_t outputs,
                               int64_t channels, int64_t C, bool add, real *dw)
{
    for (int64_t o = 0; o < outputs; o++)
        for (int64_t c = 0; c < channels; c += LANES) {
            const real *from = du + o * row + c;
            vec half[3][SQUARE_IN];
            for (int j = 0; j < SQUARE_IN; j++) {
                vec u[SQUARE_IN], g[3];
#pragma GCC unroll 6
                for (int i = 0; i < SQUARE_IN; i++)
                    u[i] = *(const vec *)(from + (i * SQUARE_IN + j) * f_step);
                filter_gradient_1d(u, g);
#pragma GCC unroll 3
                for (int i = 0; i < 3; i++) half[i][j] = g[i];
            }
            const lanes some = first_lanes(min_i64(channels - c, LANES));
            for (int i = 0; i < 3; i++) {
                vec g[3];
                filter_gradient_1d(half[i], g);
#pragma GCC unroll 3
                for (int j = 0; j < 3; j++) {
                    real *to = dw + (o * TAPS + i * 3 + j) * C + c;
                    if (add) g[j] += load_first(to, some);
                    store_first(to, some, g[j]);
                }
            }
        }
}
