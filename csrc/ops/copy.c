/* Copies between arrays of any strides, also with addition, a mask, or from nothing at all. */
#include "ops/real.h"

/* All axes but the last, and the last. */
static int64_t rows_of(const fnn_copy_args *a)
{
    int64_t rows = 1;
    for (int d = 0; d < a->dims - 1; d++) rows *= a->shape[d];
    return rows;
}

static int64_t columns_of(const fnn_copy_args *a)
{
    return a->dims > 0 ? a->shape[a->dims - 1] : 1;
}

fnn_plan VARIANT(copy_plan)(const void *args, int max_members)
{
    const fnn_copy_args *a = args;
    return (fnn_plan){members_for(rows_of(a) * columns_of(a), SIZE_PER_MEMBER, max_members), 0};
}

static void copy_row(const fnn_copy_args *a, const real *x, int64_t x_stride, const uint8_t *mask,
                     real *out, int64_t out_stride, int64_t n)
{
    if (x && x_stride == 1 && out_stride == 1 && !mask && !a->accumulate) {
        memcpy(out, x, (size_t)n * sizeof *out);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const real value = x && (!mask || mask[i]) ? x[i * x_stride] : 0;
        out[i * out_stride] = a->accumulate ? out[i * out_stride] + value : value;
    }
}

void VARIANT(copy_run)(const void *args, const fnn_team *team)
{
    const fnn_copy_args *a = args;
    const int64_t rows = rows_of(a), columns = columns_of(a);
    const int last = a->dims > 0 ? a->dims - 1 : 0;
    const int64_t x_stride = a->dims > 0 ? a->x_strides[last] : 1;
    const int64_t out_stride = a->dims > 0 ? a->out_strides[last] : 1;
    /* Few rows are cut, many are dealt out. */
    const bool cut = rows < team->size;
    const range own = cut ? (range){0, rows} : split(rows, 1, team->rank, team->size);
    const range part = cut ? split(columns, LINE, team->rank, team->size) : (range){0, columns};
    for (int64_t row = own.begin; row < own.end; row++) {
        int64_t x_at = part.begin * x_stride, out_at = part.begin * out_stride;
        for (int64_t d = last - 1, rest = row; d >= 0; d--) {
            x_at += rest % a->shape[d] * a->x_strides[d];
            out_at += rest % a->shape[d] * a->out_strides[d];
            rest /= a->shape[d];
        }
        copy_row(a, a->x ? (const real *)a->x + x_at : NULL, x_stride,
                 a->mask ? a->mask + row * columns + part.begin : NULL, (real *)a->out + out_at,
                 out_stride, part.end - part.begin);
    }
}
