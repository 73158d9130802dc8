/* Softmax over rows, and its cross-entropy fused with the gradient. */
#include <math.h>

#include "ops/math.h"
#include "ops/reduce.h"

static fnn_plan plan(int64_t N, int64_t C, size_t workspace, int max_members)
{
    /* An exponential costs several times a copy. */
    const int64_t per_member = SIZE_PER_MEMBER / 4;
    return (fnn_plan){members_for(saturating_mul(N, C), per_member, max_members), workspace};
}

/* out = exp(x - max); returns its sum. Subtracting the maximum keeps every term in (0, 1]. A NaN
 * anywhere makes the sum NaN, and so the whole row. */
static real exp_row(const real *x, int64_t C, real *out, real *maximum)
{
    const real max = strand_max(x, C);
    for (int64_t c = 0; c < C; c++) out[c] = exp_real(x[c] - max);
    *maximum = max;
    return strand_sum(out, C);
}

fnn_plan VARIANT(softmax_forward_plan)(const void *args, int max_members)
{
    const fnn_softmax_args *a = args;
    return plan(a->N, a->C, 0, max_members);
}

void VARIANT(softmax_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_softmax_args *a = args;
    const range rows = split(a->N, 1, team->rank, team->size);
    for (int64_t n = rows.begin; n < rows.end && a->C > 0; n++) {
        real *out = (real *)a->out + n * a->C;
        real max;
        const real sum = exp_row((const real *)a->x + n * a->C, a->C, out, &max);
        for (int64_t c = 0; c < a->C; c++) out[c] /= sum;
    }
}

fnn_plan VARIANT(softmax_backward_plan)(const void *args, int max_members)
{
    const fnn_softmax_args *a = args;
    return plan(a->N, a->C, 0, max_members);
}

/* Forward was y = softmax(x); dy_c/dx_j = y_c (1[c == j] - y_j), so dx = y (dy - <dy, y>). */
void VARIANT(softmax_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_softmax_args *a = args;
    const range rows = split(a->N, 1, team->rank, team->size);
    for (int64_t n = rows.begin; n < rows.end; n++) {
        const real *y = (const real *)a->x + n * a->C, *dy = (const real *)a->dy + n * a->C;
        real *dx = (real *)a->out + n * a->C;
        real dot = 0;
        for (int64_t c = 0; c < a->C; c++) dot = fma_real(dy[c], y[c], dot);
        for (int64_t c = 0; c < a->C; c++) dx[c] = y[c] * (dy[c] - dot);
    }
}

/* ---- cross-entropy --------------------------------------------------------------------------- */

fnn_plan VARIANT(softmax_cross_entropy_plan)(const void *args, int max_members)
{
    const fnn_softmax_cross_entropy_args *a = args;
    return plan(a->N, a->C, (size_t)a->N * sizeof(double), max_members);
}

void VARIANT(softmax_cross_entropy_run)(const void *args, const fnn_team *team)
{
    const fnn_softmax_cross_entropy_args *a = args;
    double *losses = team->workspace;
    const range rows = split(a->N, 1, team->rank, team->size);
    for (int64_t n = rows.begin; n < rows.end; n++) {
        const real *x = (const real *)a->logits + n * a->C;
        real *dx = (real *)a->dlogits + n * a->C;
        const int64_t label = a->labels[n];
        const real chosen = x[label]; /* before dx, which may be x, is written */
        real max;
        const real sum = exp_row(x, a->C, dx, &max);
        losses[n] = log((double)sum) - ((double)chosen - (double)max);
        const real scale = 1 / (sum * (real)a->N);
        for (int64_t c = 0; c < a->C; c++) dx[c] *= scale;
        dx[label] -= 1 / (real)a->N;
    }
    fnn_team_barrier(team);
    if (team->rank != 0) return;
    double total = 0;
    for (int64_t n = 0; n < a->N; n++) total += losses[n];
    *a->loss = total / (double)a->N;
}
