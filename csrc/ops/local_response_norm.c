/* Local response normalisation across channels: Krizhevsky, Sutskever and Hinton 2012, section 3.3,
 * with PyTorch's alpha / size. */
#include <math.h>

#include "ops/real.h"

/* Rows of one pixel's channels, in the workspace, one set per member. `padded` has zeros on both
 * sides, as wide as half a window. */
typedef struct scratch {
    int64_t before, after; /* channels of a window on either side of its own */
    real *padded, *sums, *powers;
} scratch;

static int64_t scratch_size(const fnn_local_response_norm_args *a)
{
    const int64_t before = min_i64(a->size / 2, a->C), after = min_i64((a->size - 1) / 2, a->C);
    const int64_t sides = 2 * max_i64(before, after);
    return round_up(3 * a->C + sides, LINE);
}

static fnn_plan plan(const fnn_local_response_norm_args *a, int max_members)
{
    const int64_t work = saturating_mul(saturating_mul(a->P, a->C), min_i64(a->size, a->C + 1) + 4);
    const int members = members_for(work, 4 * (int64_t)SIZE_PER_MEMBER, max_members);
    return (fnn_plan){members, (size_t)(members * scratch_size(a)) * sizeof(real)};
}

static scratch scratch_of(const fnn_local_response_norm_args *a, const fnn_team *team)
{
    scratch s = {min_i64(a->size / 2, a->C), min_i64((a->size - 1) / 2, a->C), NULL, NULL, NULL};
    const int64_t side = max_i64(s.before, s.after);
    real *own = (real *)team->workspace + team->rank * scratch_size(a);
    memset(own, 0, (size_t)scratch_size(a) * sizeof(real));
    s.padded = own + side;
    s.sums = s.padded + a->C + side;
    s.powers = s.sums + a->C;
    return s;
}

static inline real square_root(real x)
{
#if FNN_DOUBLE
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

/* sums[c] = padded[c - before] + ... + padded[c + after]. */
static void window_sums(const real *restrict padded, int64_t before, int64_t after, int64_t C,
                        real *restrict sums)
{
    for (int64_t c = 0; c < C; c++) sums[c] = padded[c - before];
    for (int64_t t = 1 - before; t <= after; t++)
        for (int64_t c = 0; c < C; c++) sums[c] += padded[c + t];
}

/* sums = d, powers = d^-beta. The exponent of both papers is 3/4, which two square roots give. */
static void denominators(const fnn_local_response_norm_args *a, const scratch *s, const real *x)
{
    const real k = (real)a->k, share = (real)(a->alpha / (double)a->size);
    real *restrict padded = s->padded, *restrict sums = s->sums, *restrict powers = s->powers;
    for (int64_t c = 0; c < a->C; c++) padded[c] = x[c] * x[c];
    window_sums(padded, s->before, s->after, a->C, sums);
    for (int64_t c = 0; c < a->C; c++) sums[c] = fma_real(share, sums[c], k);
    if (a->beta == 0.75)
        for (int64_t c = 0; c < a->C; c++) {
            const real root = square_root(sums[c]);
            powers[c] = 1 / (root * square_root(root));
        }
    else
        for (int64_t c = 0; c < a->C; c++) powers[c] = (real)pow((double)sums[c], -a->beta);
}

fnn_plan VARIANT(local_response_norm_forward_plan)(const void *args, int max_members)
{
    return plan(args, max_members);
}

void VARIANT(local_response_norm_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_local_response_norm_args *a = args;
    const scratch s = scratch_of(a, team);
    const range rows = split(a->P, 1, team->rank, team->size);
    for (int64_t p = rows.begin; p < rows.end; p++) {
        const real *x = (const real *)a->x + p * a->C;
        real *y = (real *)a->out + p * a->C;
        denominators(a, &s, x);
        for (int64_t c = 0; c < a->C; c++) y[c] = x[c] * s.powers[c];
    }
}

fnn_plan VARIANT(local_response_norm_backward_plan)(const void *args, int max_members)
{
    return plan(args, max_members);
}

/* Forward was y_c = x_c d_c^-beta, and d_c moves by 2 alpha / size x_j with each x_j of its window:
 * dx_j = dy_j d_j^-beta - 2 alpha beta / size x_j (sum over those c of dy_c x_c d_c^-beta / d_c). */
void VARIANT(local_response_norm_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_local_response_norm_args *a = args;
    const scratch s = scratch_of(a, team);
    const real factor = (real)(2 * a->alpha * a->beta / (double)a->size);
    const range rows = split(a->P, 1, team->rank, team->size);
    for (int64_t p = rows.begin; p < rows.end; p++) {
        const real *x = (const real *)a->x + p * a->C, *dy = (const real *)a->dy + p * a->C;
        real *dx = (real *)a->out + p * a->C;
        denominators(a, &s, x);
        for (int64_t c = 0; c < a->C; c++) s.padded[c] = dy[c] * x[c] * s.powers[c] / s.sums[c];
        window_sums(s.padded, s.after, s.before, a->C, s.sums);
        for (int64_t c = 0; c < a->C; c++)
            dx[c] = fma_real(dy[c], s.powers[c], -(factor * x[c] * s.sums[c]));
    }
}
