/* Copies between arrays of any strides, also with addition, a mask, or from nothing at all. */
#include "ops/strided.h"

fnn_plan VARIANT(copy_plan)(const void *args, int max_members)
{
    const fnn_copy_args *a = args;
    const int64_t size = product_of(a->shape, a->dims);
    return (fnn_plan){members_for(size, SIZE_PER_MEMBER, max_members), 0};
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
    const int last = a->dims - 1;
    const int64_t columns = a->shape[last];
    const share own = own_share(product_of(a->shape, last), columns, team);
    const int64_t x_stride = a->x_strides[last], out_stride = a->out_strides[last];
    const int64_t begin = own.columns.begin;
    for (int64_t row = own.rows.begin; row < own.rows.end; row++) {
        const int64_t x_at = row_offset(row, last, a->shape, a->x_strides) + begin * x_stride;
        const int64_t out_at = row_offset(row, last, a->shape, a->out_strides) + begin * out_stride;
        copy_row(a, a->x ? (const real *)a->x + x_at : NULL, x_stride,
                 a->mask ? a->mask + row * columns + begin : NULL, (real *)a->out + out_at,
                 out_stride, own.columns.end - begin);
    }
}
