/* Counters that programs advance, of steps, of batches, of random numbers, and where they stop. */
#include "ops/real.h"

fnn_plan VARIANT(advance_plan)(const void *args, int max_members)
{
    (void)args, (void)max_members;
    return (fnn_plan){1, 0};
}

void VARIANT(advance_run)(const void *args, const fnn_team *team)
{
    const fnn_advance_args *a = args;
    (void)team;
    if (a->before) memcpy(a->before, a->counter, 8);
    if (a->kind == FNN_COUNTER_F64) {
        *(double *)a->counter += (double)a->amount;
    } else {
        uint64_t *counter = a->counter;
        *counter += (uint64_t)a->amount;
        if (a->kind == FNN_COUNTER_U64) *counter %= UINT64_C(1) << 62;
    }
}

fnn_plan VARIANT(require_finite_plan)(const void *args, int max_members)
{
    (void)args, (void)max_members;
    return (fnn_plan){1, 0};
}

/* program.c looks at the number. */
void VARIANT(require_finite_run)(const void *args, const fnn_team *team)
{
    (void)args, (void)team;
}
