/* Sums cut in chunks: each chunk is summed by one member, the chunks are added in order. */
#ifndef FNN_REDUCE_H
#define FNN_REDUCE_H

#include "ops/real.h"

/* for j in columns: sum[j] = (accumulate ? sum[j] : 0) + partials[0,j] + partials[1,j] + ...
 * where partials[i,j] is at i * stride + j. */
static inline void add_partials(const real *restrict partials, int64_t chunks, int64_t stride,
                                range columns, real *restrict sum, bool accumulate)
{
    for (int64_t i = 0; i < chunks; i++) {
        const real *part = partials + i * stride;
        if (i == 0 && !accumulate)
            for (int64_t j = columns.begin; j < columns.end; j++) sum[j] = part[j];
        else
            for (int64_t j = columns.begin; j < columns.end; j++) sum[j] += part[j];
    }
}

#endif
