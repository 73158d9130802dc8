/* Cross-entropy of a softmax, fused with its gradient. With q the target of a row, Q its sum:
 *     loss = sum of q (logsumexp(x) - x) = Q log(sum of exp(x - max)) + sum of q (max - x)
 *     dx = (Q softmax(x) - q) / divisor
 * Where q is 0 its term is 0, even of a logit that is minus infinity. */
#include "ops/class_loss.h"

/* Whether q has one element that is not 0, and need not be written down. */
static bool is_one_hot(const fnn_class_loss_args *a)
{
    return a->labels && a->label_smoothing == 0;
}

/* q[c] = w[c] (keep t[c] + spread) */
typedef struct target {
    real keep, spread;
} target;

static target target_of(const fnn_class_loss_args *a)
{
    return (target){(real)(1 - a->label_smoothing), (real)(a->label_smoothing / (double)a->C)};
}

/* ---- short rows ------------------------------------------------------------------------------ */

/* A block of them, row r in lane r. */
typedef struct block {
    int64_t first, rows, width;
    real *x, *q;
    real *max, *sum;
    real *mass;     /* Q */
    real *distance; /* sum of q (max - x) */
} block;

static void one_hot_columns(const fnn_class_loss_args *a, block *b)
{
    for (int64_t r = 0; r < b->width; r++) {
        const bool counts = r < b->rows && !is_ignored(a, b->first + r);
        const int64_t label = counts ? a->labels[b->first + r] : 0;
        b->mass[r] = counts ? class_weight(a, label) : 0;
        const real below = b->mass[r] == 0 ? 0 : b->max[r] - b->x[label * b->width + r];
        b->distance[r] = b->mass[r] * below;
    }
}

static void target_columns(const fnn_class_loss_args *a, block *b)
{
    const int64_t C = a->C, width = b->width;
    const target to = target_of(a);
    if (a->labels) {
        for (int64_t i = 0; i < C * width; i++) b->q[i] = to.spread;
        for (int64_t r = 0; r < b->rows; r++)
            if (!is_ignored(a, b->first + r))
                b->q[a->labels[b->first + r] * width + r] = to.keep + to.spread;
    } else {
        gather_rows((const real *)a->probabilities + b->first * C, C, b->rows, width, b->q);
        for (int64_t i = 0; i < C * width; i++) b->q[i] = fma_real(to.keep, b->q[i], to.spread);
    }
    for (int64_t r = 0; r < width; r++) b->mass[r] = b->distance[r] = 0;
    for (int64_t c = 0; c < C; c++) {
        const real weight = class_weight(a, c), *x = b->x + c * width;
        real *q = b->q + c * width;
        for (int64_t r = 0; r < width; r++) {
            q[r] *= weight;
            b->mass[r] += q[r];
            b->distance[r] = fma_real(q[r], q[r] == 0 ? 0 : b->max[r] - x[r], b->distance[r]);
        }
    }
}

static void gradient_columns(const fnn_class_loss_args *a, block *b, real share)
{
    const int64_t C = a->C, width = b->width;
    for (int64_t r = 0; r < width; r++) b->sum[r] = b->mass[r] * share / b->sum[r];
    column_scale(b->x, width, C, width, b->sum);
    if (is_one_hot(a)) {
        for (int64_t r = 0; r < b->rows; r++)
            if (!is_ignored(a, b->first + r))
                b->x[a->labels[b->first + r] * width + r] -= b->mass[r] * share;
    } else {
        for (int64_t i = 0; i < C * width; i++) b->x[i] = fma_real(-share, b->q[i], b->x[i]);
    }
}

static void short_rows(const fnn_class_loss_args *a, int64_t first, int64_t rows, real share,
                       real *losses)
{
    const int64_t C = a->C, width = round_up(rows, LANES);
    real x[SHORT_ROW * WIDTH], q[SHORT_ROW * WIDTH], each[4][WIDTH];
    block b = {first, rows, width, x, q, each[0], each[1], each[2], each[3]};
    gather_rows((const real *)a->x + first * C, C, rows, width, b.x);
    column_max(b.x, width, C, width, b.max);
    if (is_one_hot(a)) one_hot_columns(a, &b);
    else target_columns(a, &b);
    column_exp_sum(b.x, width, C, width, b.max, b.x, b.sum);
    column_log(b.sum, width, losses);
    for (int64_t r = 0; r < width; r++) losses[r] = fma_real(b.mass[r], losses[r], b.distance[r]);
    gradient_columns(a, &b, share);
    scatter_rows(b.x, C, rows, width, (real *)a->dx + first * C);
}

/* ---- a long row ------------------------------------------------------------------------------ */

static void row_target(const fnn_class_loss_args *a, int64_t n, real *q)
{
    const int64_t C = a->C;
    const target to = target_of(a);
    if (a->labels) {
        for (int64_t c = 0; c < C; c++) q[c] = to.spread;
        q[a->labels[n]] = to.keep + to.spread;
    } else {
        const real *t = (const real *)a->probabilities + n * C;
        for (int64_t c = 0; c < C; c++) q[c] = fma_real(to.keep, t[c], to.spread);
    }
    const real *w = a->weight;
    for (int64_t c = 0; c < C && w; c++) q[c] *= w[c];
}

/* Returns the loss; q has room for two rows. */
static real long_row(const fnn_class_loss_args *a, int64_t n, real share, real *q)
{
    const int64_t C = a->C;
    const real *x = (const real *)a->x + n * C;
    real *dx = (real *)a->dx + n * C;
    if (is_ignored(a, n)) return 0;
    const real max = strand_max(x, C);
    if (is_one_hot(a)) {
        const int64_t label = a->labels[n];
        const real mass = class_weight(a, label), below = mass == 0 ? 0 : max - x[label];
        const real sum = row_exp_sum(x, C, max, dx), scale = mass * share / sum;
        row_scale(dx, C, scale);
        dx[label] -= mass * share;
        return fma_real(mass, log_lifted(sum), mass * below);
    }
    row_target(a, n, q);
    const real mass = strand_sum(q, C);
    real *below = q + C;
    for (int64_t c = 0; c < C; c++) below[c] = q[c] == 0 ? 0 : max - x[c];
    const real distance = strand_dot(q, below, C);
    const real sum = row_exp_sum(x, C, max, dx), scale = mass * share / sum;
    for (int64_t c = 0; c < C; c++) dx[c] = fma_real(dx[c], scale, -share * q[c]);
    return fma_real(mass, log_lifted(sum), distance);
}

/* ---- the op ---------------------------------------------------------------------------------- */

static size_t sums_size(const fnn_class_loss_args *a)
{
    return (size_t)round_up(class_loss_blocks(a), FNN_ALIGN / sizeof(double)) * sizeof(double);
}

/* A member's two rows; as many elements as the workspace has of them for it. */
static int64_t scratch_size(const fnn_class_loss_args *a)
{
    return a->C <= SHORT_ROW || is_one_hot(a) ? 0 : round_up(2 * a->C, LINE);
}

fnn_plan VARIANT(softmax_cross_entropy_plan)(const void *args, int max_members)
{
    const fnn_class_loss_args *a = args;
    const int64_t size = saturating_mul(a->N, a->C);
    /* An exponential costs several times a copy. */
    const int members = members_for(size, SIZE_PER_MEMBER / 4, max_members);
    return (fnn_plan){members, sums_size(a) + (size_t)(members * scratch_size(a)) * sizeof(real)};
}

void VARIANT(softmax_cross_entropy_run)(const void *args, const fnn_team *team)
{
    const fnn_class_loss_args *a = args;
    const double divisor = class_loss_divisor(a, true);
    const real share = gradient_share(divisor);
    real *scratch = (real *)((char *)team->workspace + sums_size(a)) + team->rank * scratch_size(a);
    const range own = split(class_loss_blocks(a), 1, team->rank, team->size);
    for (int64_t i = own.begin; i < own.end; i++) {
        const int64_t first = i * block_rows(a), rows = min_i64(block_rows(a), a->N - first);
        real losses[WIDTH];
        if (a->C <= SHORT_ROW) short_rows(a, first, rows, share, losses);
        else losses[0] = long_row(a, first, share, scratch);
        clear_ignored(a, first, rows, losses);
        put_losses(a, team, i, first, rows, losses);
    }
    add_losses(a, team, divisor);
}
