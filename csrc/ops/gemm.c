#include "ops/gemm.h"

/* The same numbers as out^T = b^T @ a^T. (a*b is b*a to the bit, but alpha is a's.) */
static product transposed(const product *p)
{
    product t = *p;
    t.M = p->N;
    t.N = p->M;
    t.a = strided_source(p->b.base, p->b.col_stride, p->b.row_stride);
    t.b = strided_source(p->a.base, p->a.col_stride, p->a.row_stride);
    t.c_rs = p->c_cs;
    t.c_cs = p->c_rs;
    t.bias_rs = p->bias_cs;
    t.bias_cs = p->bias_rs;
    t.out_rs = p->out_cs;
    t.out_cs = p->out_rs;
    t.transposed = true;
    return t;
}

/* Tiles are vectors along a row of the output. One column makes poor rows, and columns that are
 * contiguous make good ones. */
static bool better_transposed(const product *p)
{
    if (p->packed_b || p->alpha != 1 || p->mask || p->mask_out) return false;
    if (p->N == 1) return p->M > 1;
    return p->out_cs != 1 && p->out_rs == 1;
}

product gemm_product(const fnn_gemm_args *g)
{
    product p = {.M = g->M,
                 .N = g->N,
                 .K = g->K,
                 .a = strided_source(g->a, g->a_rs, g->a_cs),
                 .b = strided_source(g->b, g->b_rs, g->b_cs),
                 .packed_b = g->b_packed ? g->b : NULL,
                 .alpha = (real)g->alpha,
                 .beta = (real)g->beta,
                 .c = g->c,
                 .c_rs = g->c_rs,
                 .c_cs = g->c_cs,
                 .bias = g->bias,
                 .bias_rs = g->bias_rs,
                 .bias_cs = g->bias_cs,
                 .mask = g->mask,
                 .mask_out = g->mask_out,
                 .mask_rs = g->N,
                 .mask_out_rs = g->N,
                 .out = g->out,
                 .out_rs = g->out_rs,
                 .out_cs = g->out_cs,
                 .activation = g->activation};
    return better_transposed(&p) ? transposed(&p) : p;
}

fnn_plan VARIANT(gemm_plan)(const void *args, int max_members)
{
    const product p = gemm_product(args);
    return product_plan(&p, max_members);
}

void VARIANT(gemm_run)(const void *args, const fnn_team *team)
{
    const product p = gemm_product(args);
    product_run(&p, team);
}
