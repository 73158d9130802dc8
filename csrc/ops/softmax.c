/* Softmax, its logarithm and the logarithm of its sum, over one axis. */
#include "ops/reduce.h"
#include "ops/rows.h"

/* How the rows are cut in blocks: up to WIDTH short rows, one long row, or up to NEIGHBOURS of them
 * where the axis is not the last. */
typedef struct blocks {
    int64_t N, C, inner, per_line, count;
    bool side_by_side; /* transposed */
} blocks;

static blocks blocks_of(const fnn_softmax_args *a)
{
    blocks b = {.N = a->N, .C = a->C, .inner = a->inner};
    b.side_by_side = a->inner == 1 && a->C <= SHORT_ROW;
    b.per_line = ceil_div(a->inner, NEIGHBOURS);
    b.count = b.side_by_side ? ceil_div(a->N, WIDTH) : a->N * b.per_line;
    return b;
}

static fnn_plan plan(const fnn_softmax_args *a, int64_t per_member, int max_members)
{
    const int64_t size = saturating_mul(saturating_mul(a->N, a->C), a->inner);
    return (fnn_plan){members_for(size, per_member, max_members), 0};
}

/* An exponential costs several times a copy. */
enum { EXP_PER_MEMBER = SIZE_PER_MEMBER / 4 };

/* logsumexp where max + log(sum) is NaN: there is a NaN, or max is infinite and the result too. */
static real special_logsumexp(const real *x, int64_t stride, int64_t C, real max)
{
    for (int64_t c = 0; c < C; c++)
        if (x[c * stride] != x[c * stride]) return x[c * stride];
    return max;
}

static void forward_columns(const fnn_softmax_args *a, const real *x, int64_t stride, int64_t width,
                            real *out)
{
    const int64_t C = a->C;
    real max[NEIGHBOURS], sum[NEIGHBOURS], log_sum[NEIGHBOURS];
    column_max(x, stride, C, width, max);
    column_exp_sum(x, stride, C, width, max, a->kind == FNN_SOFTMAX ? out : NULL, sum);
    if (a->kind == FNN_SOFTMAX) {
        for (int64_t j = 0; j < width; j++) sum[j] = 1 / sum[j];
        column_scale(out, stride, C, width, sum);
        return;
    }
    column_log(sum, width, log_sum);
    if (a->kind == FNN_LOGSUMEXP) {
        for (int64_t j = 0; j < width; j++) {
            const real y = max[j] + log_sum[j];
            out[j] = y == y ? y : special_logsumexp(x + j, stride, C, max[j]);
        }
        return;
    }
    for (int64_t c = 0; c < C; c++)
#pragma GCC ivdep
        for (int64_t j = 0; j < width; j++)
            out[c * stride + j] = x[c * stride + j] - max[j] - log_sum[j];
}

static void forward_row(const fnn_softmax_args *a, const real *x, real *out)
{
    const int64_t C = a->C;
    const real max = strand_max(x, C);
    const real sum = row_exp_sum(x, C, max, a->kind == FNN_SOFTMAX ? out : NULL);
    const real scale = 1 / sum, log_sum = log_lifted(sum);
    switch (a->kind) {
    case FNN_SOFTMAX:
        row_scale(out, C, scale);
        break;
    case FNN_LOG_SOFTMAX:
#pragma GCC ivdep
        for (int64_t c = 0; c < C; c++) out[c] = x[c] - max - log_sum;
        break;
    case FNN_LOGSUMEXP:
        *out = sum == sum ? max + log_sum : special_logsumexp(x, 1, C, max);
        break;
    }
}

/* Forward was y = softmax(x): dy_c/dx_j = y_c (1[c == j] - y_j), so dx = y (dy - <dy, y>).
 * Of y = log_softmax(x): dy_c/dx_j = 1[c == j] - exp(y_j), so dx = dy - exp(y) sum(dy).
 * Of y = logsumexp(x): dy/dx_j = exp(x_j - y). */
static void backward_columns(const fnn_softmax_args *a, const real *from, const real *dy,
                             const real *y, int64_t stride, int64_t width, real *dx)
{
    const int64_t C = a->C;
    real sums[NEIGHBOURS] = {0}, *sum = sums;
    for (int64_t c = 0; c < C && a->kind == FNN_SOFTMAX; c++)
        for (int64_t j = 0; j < width; j++)
            sum[j] = fma_real(dy[c * stride + j], from[c * stride + j], sum[j]);
    for (int64_t c = 0; c < C && a->kind == FNN_LOG_SOFTMAX; c++)
        for (int64_t j = 0; j < width; j++) sum[j] += dy[c * stride + j];
    for (int64_t c = 0; c < C; c++) {
        const real *f = from + c * stride, *g = a->kind == FNN_LOGSUMEXP ? dy : dy + c * stride;
        real *d = dx + c * stride;
        switch (a->kind) {
        case FNN_SOFTMAX:
#pragma GCC ivdep
            for (int64_t j = 0; j < width; j++) d[j] = f[j] * (g[j] - sum[j]);
            break;
        case FNN_LOG_SOFTMAX:
#pragma GCC ivdep
            for (int64_t j = 0; j < width; j++) d[j] = fma_real(-exp_real(f[j]), sum[j], g[j]);
            break;
        case FNN_LOGSUMEXP:
#pragma GCC ivdep
            for (int64_t j = 0; j < width; j++) d[j] = g[j] * exp_real(f[j] - y[j]);
            break;
        }
    }
}

static void backward_row(const fnn_softmax_args *a, const real *from, const real *dy, const real *y,
                         real *dx)
{
    const int64_t C = a->C;
    switch (a->kind) {
    case FNN_SOFTMAX: {
        const real dot = strand_dot(dy, from, C);
#pragma GCC ivdep
        for (int64_t c = 0; c < C; c++) dx[c] = from[c] * (dy[c] - dot);
        break;
    }
    case FNN_LOG_SOFTMAX: {
        const real sum = strand_sum(dy, C);
#pragma GCC ivdep
        for (int64_t c = 0; c < C; c++) dx[c] = fma_real(-exp_real(from[c]), sum, dy[c]);
        break;
    }
    case FNN_LOGSUMEXP: {
        const real scale = *dy, log_sum = *y;
#pragma GCC ivdep
        for (int64_t c = 0; c < C; c++) dx[c] = scale * exp_real(from[c] - log_sum);
        break;
    }
    }
}

/* ---- blocks of rows -------------------------------------------------------------------------- */

/* Where block i begins in an array of all elements and in one of a number per row. */
typedef struct place {
    int64_t element, row, rows;
} place;

static place place_of(const blocks *b, int64_t i)
{
    if (b->side_by_side) {
        const int64_t row = i * WIDTH;
        return (place){row * b->C, row, min_i64(WIDTH, b->N - row)};
    }
    const int64_t line = i / b->per_line, j = i % b->per_line * NEIGHBOURS;
    return (place){line * b->C * b->inner + j, line * b->inner + j,
                   min_i64(NEIGHBOURS, b->inner - j)};
}

fnn_plan VARIANT(softmax_forward_plan)(const void *args, int max_members)
{
    return plan(args, EXP_PER_MEMBER, max_members);
}

void VARIANT(softmax_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_softmax_args *a = args;
    const blocks b = blocks_of(a);
    const range own = split(b.count, 1, team->rank, team->size);
    const bool one_per_row = a->kind == FNN_LOGSUMEXP;
    for (int64_t i = own.begin; i < own.end && a->C > 0; i++) {
        const place at = place_of(&b, i);
        const real *x = (const real *)a->x + at.element;
        real *out = (real *)a->out + (one_per_row ? at.row : at.element);
        if (b.side_by_side) {
            real t[SHORT_ROW * WIDTH];
            const int64_t width = round_up(at.rows, LANES);
            gather_rows(x, a->C, at.rows, width, t);
            forward_columns(a, t, width, width, t);
            if (one_per_row) memcpy(out, t, (size_t)at.rows * sizeof(real));
            else scatter_rows(t, a->C, at.rows, width, out);
        } else if (a->inner == 1) {
            forward_row(a, x, out);
        } else {
            forward_columns(a, x, a->inner, at.rows, out);
        }
    }
}

fnn_plan VARIANT(softmax_backward_plan)(const void *args, int max_members)
{
    const fnn_softmax_args *a = args;
    return plan(a, a->kind == FNN_SOFTMAX ? SIZE_PER_MEMBER / 2 : EXP_PER_MEMBER, max_members);
}

void VARIANT(softmax_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_softmax_args *a = args;
    const blocks b = blocks_of(a);
    const range own = split(b.count, 1, team->rank, team->size);
    const bool one_per_row = a->kind == FNN_LOGSUMEXP;
    for (int64_t i = own.begin; i < own.end && a->C > 0; i++) {
        const place at = place_of(&b, i);
        const real *from = (const real *)(one_per_row ? a->x : a->y) + at.element;
        const real *y = (const real *)a->y + at.row;
        const real *dy = (const real *)a->dy + (one_per_row ? at.row : at.element);
        real *dx = (real *)a->out + at.element;
        if (b.side_by_side) {
            real t[SHORT_ROW * WIDTH], g[SHORT_ROW * WIDTH], log_sum[WIDTH];
            const int64_t width = round_up(at.rows, LANES);
            gather_rows(from, a->C, at.rows, width, t);
            gather_rows(dy, one_per_row ? 1 : a->C, at.rows, width, g);
            if (one_per_row) gather_rows(y, 1, at.rows, width, log_sum);
            backward_columns(a, t, g, log_sum, width, width, t);
            scatter_rows(t, a->C, at.rows, width, dx);
        } else if (a->inner == 1) {
            backward_row(a, from, dy, y, dx);
        } else {
            backward_columns(a, from, dy, y, a->inner, at.rows, dx);
        }
    }
}
