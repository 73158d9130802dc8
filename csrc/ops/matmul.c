/* A batch of products: members share out the batch, or, where it is short and one product is work
 * enough for all of them, each product. */
#include "ops/batch.h"
#include "ops/gemm.h"

static int64_t batch_size(const fnn_matmul_args *m)
{
    int64_t size = 1;
    for (int d = 0; d < m->dims; d++) size = saturating_mul(size, m->shape[d]);
    return size;
}

/* Whether `members` share each product. Half of one is slower than one of two: more operands are
 * read; but one of five products is more than a fifth of the work. */
static bool share_products(const product *p, int64_t batch, int members)
{
    enum { ENOUGH = 4 }; /* products per member */
    return members > 1 && batch < ENOUGH * members && product_plan(p, members).members == members;
}

fnn_plan VARIANT(matmul_plan)(const void *args, int max_members)
{
    const fnn_matmul_args *m = args;
    product p;
    gemm_product(&m->product, &p);
    fnn_plan plan = product_plan(&p, max_members);
    const int64_t batch = batch_size(m);
    if (max_members == 1 || share_products(&p, batch, max_members)) return plan;
    const blocking s = product_blocking(&p);
    const int most = (int)min_i64(max_members, max_i64(1, batch));
    plan.members = product_members(saturating_mul(product_work(&p), batch), most);
    plan.workspace = (size_t)plan.members * product_workspace(&p, &s);
    return plan;
}

/* Moves p from one index of the batch to the next. */
static void advance(product *p, const fnn_matmul_args *m, int64_t index[])
{
    const real **a = p->transposed ? &p->b.base : &p->a.base;
    const real **b = p->transposed ? &p->a.base : &p->b.base;
    for (int d = m->dims - 1; d >= 0; d--) {
        const int64_t steps = ++index[d] < m->shape[d] ? 1 : 1 - m->shape[d];
        *a += steps * m->a_strides[d];
        *b += steps * m->b_strides[d];
        p->out += steps * m->out_strides[d];
        if (steps == 1) return;
        index[d] = 0;
    }
}

/* Makes p the product at position `at` of the batch; index tells where that is. */
static void go_to(product *p, const fnn_matmul_args *m, int64_t at, int64_t index[])
{
    fnn_gemm_args g = m->product;
    int64_t a = 0, b = 0, out = 0;
    for (int d = m->dims - 1; d >= 0; d--) {
        index[d] = at % m->shape[d];
        at /= m->shape[d];
        a += index[d] * m->a_strides[d];
        b += index[d] * m->b_strides[d];
        out += index[d] * m->out_strides[d];
    }
    g.a = (const real *)g.a + a;
    g.b = (const real *)g.b + b;
    g.out = (real *)g.out + out;
    gemm_product(&g, p);
}

/* Positions [own.begin, own.end), stretches of the last axis in one go. */
static void run_small(const fnn_matmul_args *m, range own)
{
    const int last = m->dims - 1;
    const int64_t a = m->a_strides[last], b = m->b_strides[last];
    int64_t index[FNN_MAX_BATCH_DIMS];
    for (int64_t i = own.begin, count; i < own.end; i += count) {
        product p;
        go_to(&p, m, i, index);
        count = min_i64(own.end - i, m->shape[last] - index[last]);
        product_batch(&p, count, p.transposed ? b : a, p.transposed ? a : b, m->out_strides[last]);
    }
}

void VARIANT(matmul_run)(const void *args, const fnn_team *team)
{
    const fnn_matmul_args *m = args;
    const int64_t batch = batch_size(m);
    product p;
    gemm_product(&m->product, &p);
    const blocking s = product_blocking(&p);
    const bool together = share_products(&p, batch, team->size);
    const range own = together ? (range){0, batch} : split(batch, 1, team->rank, team->size);
    if (own.begin == own.end) return;
    if (!together && m->dims > 0 && product_is_small(&p)) {
        run_small(m, own);
        return;
    }
    int64_t index[FNN_MAX_BATCH_DIMS];
    go_to(&p, m, own.begin, index);
    char *mine = (char *)team->workspace + (size_t)team->rank * product_workspace(&p, &s);
    for (int64_t i = own.begin; i < own.end; i++, advance(&p, m, index)) {
        if (together) product_run(&p, team);
        else product_block(&p, &s, (range){0, p.M}, (range){0, p.N}, mine);
    }
}
