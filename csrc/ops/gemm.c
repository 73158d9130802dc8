#include "ops/product.h"

fnn_plan VARIANT(gemm_plan)(const void *args, int max_members)
{
    const fnn_gemm_args *g = args;
    return product_plan(g->M, g->N, g->K, max_members);
}

void VARIANT(gemm_run)(const void *args, const fnn_team *team)
{
    const fnn_gemm_args *g = args;
    const product p = {.M = g->M,
                       .N = g->N,
                       .K = g->K,
                       .a = strided_source(g->a, g->a_rs, g->a_cs),
                       .b = strided_source(g->b, g->b_rs, g->b_cs),
                       .alpha = (real)g->alpha,
                       .beta = (real)g->beta,
                       .c = g->c,
                       .c_rs = g->c_rs,
                       .c_cs = g->c_cs,
                       .bias = g->bias,
                       .bias_s = g->bias_s,
                       .out = g->out,
                       .out_rs = g->out_rs,
                       .out_cs = g->out_cs,
                       .activation = g->activation};
    product_run(&p, team);
}
