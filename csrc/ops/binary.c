/* Two arrays, element by element, either broadcast. */
#include "ops/strided.h"

fnn_plan VARIANT(binary_forward_plan)(const void *args, int max_members)
{
    const fnn_binary_args *a = args;
    const int64_t size = product_of(a->shape, a->dims);
    return (fnn_plan){members_for(size, SIZE_PER_MEMBER, max_members), 0};
}

static inline __attribute__((always_inline)) real combine(fnn_binary kind, real a, real b)
{
    switch (kind) {
    case FNN_ADD:
        return a + b;
    case FNN_MUL:
        return a * b;
    case FNN_ADD_RELU:
        return a + b <= 0 ? 0 : a + b;
    case FNN_PRELU:
        return a > 0 ? a : a * b;
    case FNN_PRELU_SLOPE:
        return a > 0 ? 1 : b;
    case FNN_PRELU_WEIGHT:
        return b > 0 ? 0 : a * b;
    default:
        return b == 0 ? 0 : a / b;
    }
}

/* The strides of usual rows as constants: the compiler vectorises these loops. */
static inline __attribute__((always_inline)) void
row_of(fnn_binary kind, const real *a, int64_t as, const real *b, int64_t bs, real *out, int64_t n)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) out[i] = combine(kind, a[i * as], b[i * bs]);
}

static inline __attribute__((always_inline)) void
row(fnn_binary kind, const real *a, int64_t as, const real *b, int64_t bs, real *out, int64_t n)
{
    if (as == 1 && bs == 1) row_of(kind, a, 1, b, 1, out, n);
    else if (as == 1 && bs == 0) row_of(kind, a, 1, b, 0, out, n);
    else row_of(kind, a, as, b, bs, out, n);
}

static void any_row(fnn_binary kind, const real *a, int64_t as, const real *b, int64_t bs,
                    real *out, int64_t n)
{
    switch (kind) {
    case FNN_ADD:
        row(FNN_ADD, a, as, b, bs, out, n);
        break;
    case FNN_MUL:
        row(FNN_MUL, a, as, b, bs, out, n);
        break;
    case FNN_ADD_RELU:
        row(FNN_ADD_RELU, a, as, b, bs, out, n);
        break;
    case FNN_PRELU:
        row(FNN_PRELU, a, as, b, bs, out, n);
        break;
    case FNN_PRELU_SLOPE:
        row(FNN_PRELU_SLOPE, a, as, b, bs, out, n);
        break;
    case FNN_PRELU_WEIGHT:
        row(FNN_PRELU_WEIGHT, a, as, b, bs, out, n);
        break;
    default:
        row_of(kind, a, as, b, bs, out, n);
    }
}

void VARIANT(binary_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_binary_args *p = args;
    const int last = p->dims - 1;
    const int64_t columns = p->shape[last];
    const share own = own_share(product_of(p->shape, last), columns, team);
    const int64_t as = p->a_strides[last], bs = p->b_strides[last], begin = own.columns.begin;
    for (int64_t r = own.rows.begin; r < own.rows.end; r++) {
        const int64_t a_at = row_offset(r, last, p->shape, p->a_strides) + begin * as;
        const int64_t b_at = row_offset(r, last, p->shape, p->b_strides) + begin * bs;
        any_row(p->kind, (const real *)p->a + a_at, as, (const real *)p->b + b_at, bs,
                (real *)p->out + r * columns + begin, own.columns.end - begin);
    }
}
