/* What the steps of optimizers share. They are single passes over flat buffers, bound by memory:
 * each array is read once and each changed one written once. The formulae are PyTorch's; constants
 * are computed in double and rounded once to the element type. */
#ifndef FNN_OPTIMIZER_H
#define FNN_OPTIMIZER_H

#include "ops/real.h"

static inline real sqrt_real(real x)
{
#if FNN_DOUBLE
    return __builtin_sqrt(x);
#else
    return __builtin_sqrtf(x);
#endif
}

/* Members of a step over `size` parameters. */
static inline fnn_plan plan_step(int64_t size, int max_members)
{
    return (fnn_plan){members_for(size, SIZE_PER_MEMBER, max_members), 0};
}

/* What one member updates. */
static inline range own_part(int64_t size, const fnn_team *team)
{
    return split(size, LANES, team->rank, team->size);
}

#endif
