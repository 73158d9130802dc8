/* What the losses of rows with a class each have in common: labels, weights and sums. */
#ifndef FNN_CLASS_LOSS_H
#define FNN_CLASS_LOSS_H

#include "ops/reduce.h"
#include "ops/rows.h"

static inline bool is_ignored(const fnn_class_loss_args *a, int64_t n)
{
    return a->labels && a->labels[n] == a->ignore_index;
}

static inline real class_weight(const fnn_class_loss_args *a, int64_t c)
{
    return a->weight ? ((const real *)a->weight)[c] : 1;
}

/* What the sum of losses is divided by; `weighted` means by the weights of the rows that count. */
static inline double class_loss_divisor(const fnn_class_loss_args *a, bool weighted)
{
    if (a->reduction != FNN_MEAN) return 1;
    if (!weighted || !a->labels) return (double)a->N;
    double sum = 0;
    int64_t count = 0;
    for (int64_t n = 0; n < a->N; n++) count += !is_ignored(a, n);
    for (int64_t n = 0; n < a->N && a->weight; n++)
        if (!is_ignored(a, n)) sum += (double)class_weight(a, a->labels[n]);
    return a->weight ? sum : (double)count;
}

/* The factor of gradients; 0 where no row counts, whose mean is NaN. */
static inline real gradient_share(double divisor)
{
    return divisor == 0 ? 0 : (real)(1 / divisor);
}

/* Blocks of rows whose losses are summed at once, and which one member computes. */
static inline int64_t class_loss_blocks(const fnn_class_loss_args *a)
{
    return a->C <= SHORT_ROW ? ceil_div(a->N, WIDTH) : a->N;
}

static inline int64_t block_rows(const fnn_class_loss_args *a)
{
    return a->C <= SHORT_ROW ? WIDTH : 1;
}

/* Delivers the losses of rows first, first + 1, ...: as they are, or as block i's sum. */
static inline void put_losses(const fnn_class_loss_args *a, const fnn_team *team, int64_t i,
                              int64_t first, int64_t rows, const real *losses)
{
    if (a->reduction == FNN_NONE)
        memcpy((real *)a->losses + first, losses, (size_t)rows * sizeof(real));
    else ((double *)team->workspace)[i] = strand_sum_in_double(losses, rows);
}

/* The last step, which the team takes together. */
static inline void add_losses(const fnn_class_loss_args *a, const fnn_team *team, double divisor)
{
    if (a->reduction == FNN_NONE) return;
    fnn_team_barrier(team);
    if (team->rank != 0) return;
    const double *sums = team->workspace;
    double total = 0;
    for (int64_t i = 0; i < class_loss_blocks(a); i++) total += sums[i];
    *a->loss = total / divisor;
}

/* Forgets what was computed of rows that do not count. */
static inline void clear_ignored(const fnn_class_loss_args *a, int64_t first, int64_t rows,
                                 real *losses)
{
    for (int64_t r = 0; a->labels && r < rows; r++)
        if (is_ignored(a, first + r)) {
            losses[r] = 0;
            memset((real *)a->dx + (first + r) * a->C, 0, (size_t)a->C * sizeof(real));
        }
}

#endif
