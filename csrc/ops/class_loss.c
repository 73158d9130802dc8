/* Losses of rows with a class each that need no exponential. */
#include "ops/class_loss.h"

static fnn_plan plan(const void *args, int max_members)
{
    const fnn_class_loss_args *a = args;
    return (fnn_plan){members_for(saturating_mul(a->N, a->C), SIZE_PER_MEMBER, max_members),
                      (size_t)class_loss_blocks(a) * sizeof(double)};
}

/* Computes the gradient of row n and returns its loss. */
typedef real row_loss(const fnn_class_loss_args *a, int64_t n, real share);

static void run(const fnn_class_loss_args *a, const fnn_team *team, row_loss *row, bool weighted)
{
    const double divisor = class_loss_divisor(a, weighted);
    const real share = gradient_share(divisor);
    const range own = split(class_loss_blocks(a), 1, team->rank, team->size);
    for (int64_t i = own.begin; i < own.end; i++) {
        const int64_t first = i * block_rows(a), rows = min_i64(block_rows(a), a->N - first);
        real losses[WIDTH];
        for (int64_t r = 0; r < rows; r++)
            if (!is_ignored(a, first + r)) losses[r] = row(a, first + r, share);
        clear_ignored(a, first, rows, losses);
        put_losses(a, team, i, first, rows, losses);
    }
    add_losses(a, team, divisor);
}

/* ---- nll ------------------------------------------------------------------------------------- */

/* loss = -w x[label], so dx[label] = -w. */
static real nll_row(const fnn_class_loss_args *a, int64_t n, real share)
{
    const int64_t label = a->labels[n];
    const real weight = class_weight(a, label);
    const real loss = -weight * ((const real *)a->x)[n * a->C + label];
    real *dx = (real *)a->dx + n * a->C;
    memset(dx, 0, (size_t)a->C * sizeof(real));
    dx[label] = -weight * share;
    return loss;
}

fnn_plan VARIANT(nll_plan)(const void *args, int max_members)
{
    return plan(args, max_members);
}

void VARIANT(nll_run)(const void *args, const fnn_team *team)
{
    run(args, team, nll_row, true);
}

/* ---- multi_margin ---------------------------------------------------------------------------- */

/* With m[c] = max(0, margin - x[label] + x[c]), and 0 for the label: loss = w / C sum of m^power,
 * so dx[c] = w / C power m^(power - 1) where m[c] > 0, and dx[label] is minus the sum of these. */
static real multi_margin_row(const fnn_class_loss_args *a, int64_t n, real share)
{
    const int64_t C = a->C, label = a->labels[n];
    const real *x = (const real *)a->x + n * C;
    const real margin = (real)a->margin, chosen = x[label];
    const real weight = class_weight(a, label) / (real)C, slope = weight * share;
    real *dx = (real *)a->dx + n * C;
#pragma GCC ivdep
    for (int64_t c = 0; c < C; c++) {
        const real m = margin - chosen + x[c];
        dx[c] = m <= 0 ? 0 : m;
    }
    dx[label] = 0;
    const real sum = a->power == 1 ? strand_sum(dx, C) : strand_dot(dx, dx, C);
    if (a->power == 1)
        for (int64_t c = 0; c < C; c++) dx[c] = dx[c] > 0 ? slope : dx[c]; /* 0, or NaN */
    else
        for (int64_t c = 0; c < C; c++) dx[c] *= 2 * slope;
    dx[label] = -strand_sum(dx, C);
    return weight * sum;
}

fnn_plan VARIANT(multi_margin_plan)(const void *args, int max_members)
{
    return plan(args, max_members);
}

void VARIANT(multi_margin_run)(const void *args, const fnn_team *team)
{
    run(args, team, multi_margin_row, false);
}
