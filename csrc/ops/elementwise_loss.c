/* Losses that each element has of its own. */
#include "ops/math.h"
#include "ops/reduce.h"

/* Elements whose losses are added at once: they stay in L1. */
enum { CHUNK = 1024 };

/* One chunk: losses[i] of y[i] and t[i], and dy[i] = share * its derivative; dy may be y or t. */
typedef struct chunk {
    int64_t n;
    const real *y, *t, *weight, *pos_weight;
    real parameter, share;
    real *losses, *dy;
} chunk;

static void squares(const chunk *k)
{
    const real slope = 2 * k->share;
#pragma GCC ivdep
    for (int64_t i = 0; i < k->n; i++) {
        const real d = k->y[i] - k->t[i];
        k->losses[i] = d * d;
        k->dy[i] = d * slope;
    }
}

static void magnitudes(const chunk *k)
{
    const real slope = k->share;
#pragma GCC ivdep
    for (int64_t i = 0; i < k->n; i++) {
        const real d = k->y[i] - k->t[i];
        const real down = d < 0 ? -slope : d; /* 0, or NaN */
        k->losses[i] = d < 0 ? -d : d;
        k->dy[i] = d > 0 ? slope : down;
    }
}

static void huber(const chunk *k)
{
    const real delta = k->parameter, slope = k->share;
#pragma GCC ivdep
    for (int64_t i = 0; i < k->n; i++) {
        const real d = k->y[i] - k->t[i], size = d < 0 ? -d : d;
        const real low = d < -delta ? -delta : d;
        const real clipped = d > delta ? delta : low; /* NaN as it is */
        const real linear = delta * (size - REAL(0.5) * delta);
        k->losses[i] = size > delta ? linear : REAL(0.5) * d * d;
        k->dy[i] = clipped * slope;
    }
}

static void hinge(const chunk *k)
{
    const real margin = k->parameter, slope = k->share;
#pragma GCC ivdep
    for (int64_t i = 0; i < k->n; i++) {
        const real t = k->t[i], m = fma_real(-t, k->y[i], margin);
        const real short_of_it = m > 0 ? -t * slope : m; /* NaN as it is */
        k->losses[i] = m <= 0 ? 0 : m;
        k->dy[i] = m <= 0 ? 0 : short_of_it;
    }
}

/* With e = exp(-|y|): softplus(+-y) = max(+-y, 0) + log1p(e), whose derivatives are
 * sigmoid(y) = (1 or e) / (1 + e) and -sigmoid(-y) = -(e or 1) / (1 + e). Nothing cancels. */
static void bce_with_logits(const chunk *k)
{
    const real share = k->share;
#pragma GCC ivdep
    for (int64_t i = 0; i < k->n; i++) {
        const real y = k->y[i], t = k->t[i];
        const bool positive = y > 0;
        const real e = exp_real(positive ? -y : y), tail = log1p_real(e), inverse = 1 / (1 + e);
        const real on = k->pos_weight[i] * t, off = 1 - t;
        const real plus = (positive ? y : 0) + tail, minus = (positive ? 0 : -y) + tail;
        const real up = positive ? inverse : e * inverse, down = positive ? e * inverse : inverse;
        k->losses[i] = k->weight[i] * fma_real(on, minus, off * plus);
        k->dy[i] = k->weight[i] * share * fma_real(off, up, -on * down);
    }
}

static void compute(fnn_loss kind, const chunk *k)
{
    switch (kind) {
    case FNN_MSE:
        squares(k);
        break;
    case FNN_L1:
        magnitudes(k);
        break;
    case FNN_HUBER:
        huber(k);
        break;
    case FNN_HINGE:
        hinge(k);
        break;
    case FNN_BCE_WITH_LOGITS:
        bce_with_logits(k);
        break;
    }
}

fnn_plan VARIANT(elementwise_loss_plan)(const void *args, int max_members)
{
    const fnn_elementwise_loss_args *a = args;
    const int64_t per_member =
        a->kind == FNN_BCE_WITH_LOGITS ? SIZE_PER_MEMBER / 8 : SIZE_PER_MEMBER;
    return (fnn_plan){members_for(a->size, per_member, max_members),
                      (size_t)ceil_div(a->size, CHUNK) * sizeof(double)};
}

void VARIANT(elementwise_loss_run)(const void *args, const fnn_team *team)
{
    const fnn_elementwise_loss_args *a = args;
    const real *y = a->y, *t = a->t, *weight = a->weight, *pos_weight = a->pos_weight;
    double *sums = team->workspace;
    const double divisor = a->reduction == FNN_MEAN ? (double)a->size : 1;
    real ones[CHUNK], losses[CHUNK];
    for (int i = 0; i < CHUNK && a->kind == FNN_BCE_WITH_LOGITS; i++) ones[i] = 1;
    const int64_t chunks = ceil_div(a->size, CHUNK);
    const range own = split(chunks, 1, team->rank, team->size);
    for (int64_t i = own.begin; i < own.end; i++) {
        const int64_t from = i * CHUNK, n = min_i64(CHUNK, a->size - from);
        const chunk k = {
            .n = n,
            .y = y + from,
            .t = t + from,
            .weight = weight ? weight + from : ones,
            .pos_weight = pos_weight ? pos_weight + from : ones,
            .parameter = (real)a->parameter,
            .share = (real)(1 / divisor),
            .losses = a->reduction == FNN_NONE ? (real *)a->losses + from : losses,
            .dy = (real *)a->dy + from,
        };
        compute(a->kind, &k);
        if (a->reduction != FNN_NONE) sums[i] = strand_sum_in_double(losses, n);
    }
    if (a->reduction == FNN_NONE) return;
    fnn_team_barrier(team);
    if (team->rank != 0) return;
    double total = 0;
    for (int64_t i = 0; i < chunks; i++) total += sums[i];
    *a->loss = total / divisor;
}
