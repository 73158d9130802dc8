/* Walking arrays of several axes and any strides: rows are all axes but the last. */
#ifndef FNN_STRIDED_H
#define FNN_STRIDED_H

#include "ops/real.h"

/* All of the first `dims` sizes as one. */
static inline int64_t product_of(const int64_t *shape, int dims)
{
    int64_t product = 1;
    for (int d = 0; d < dims; d++) product *= shape[d];
    return product;
}

/* What one member does: few rows are cut, many are dealt out. */
typedef struct share {
    range rows, columns;
} share;

static inline share own_share(int64_t rows, int64_t columns, const fnn_team *team)
{
    const int rank = team->rank, size = team->size;
    return rows < size ? (share){{0, rows}, split(columns, LINE, rank, size)}
                       : (share){split(rows, 1, rank, size), {0, columns}};
}

/* Elements from the first row to this one; `axes` are those of rows. */
static inline int64_t row_offset(int64_t row, int axes, const int64_t *shape,
                                 const int64_t *strides)
{
    int64_t offset = 0;
    for (int d = axes - 1; d >= 0; d--) {
        offset += row % shape[d] * strides[d];
        row /= shape[d];
    }
    return offset;
}

#endif
