#include "ops/gemm.h"

/* Tiles are vectors along a row of the output. One column makes poor rows, and columns that are
 * contiguous make good ones: then out^T = b^T @ a^T is computed. (a*b is b*a to the bit, but alpha
 * is a's, and masks are laid out by rows.) */
static bool better_transposed(const fnn_gemm_args *g)
{
    if (g->b_packed || g->alpha != 1 || g->mask || g->mask_out) return false;
    if (g->N == 1) return g->M > 1;
    return g->out_cs != 1 && g->out_rs == 1;
}

void gemm_product(const fnn_gemm_args *g, product *p)
{
    const bool t = better_transposed(g);
    p->transposed = t;
    p->M = t ? g->N : g->M;
    p->N = t ? g->M : g->N;
    p->K = g->K;
    set_matrix(t ? &p->b : &p->a, g->a, t ? g->a_cs : g->a_rs, t ? g->a_rs : g->a_cs);
    set_matrix(t ? &p->a : &p->b, g->b, t ? g->b_cs : g->b_rs, t ? g->b_rs : g->b_cs);
    p->packed_b = g->b_packed ? g->b : NULL;
    p->alpha = (real)g->alpha;
    p->beta = (real)g->beta;
    p->c = g->c;
    p->c_rs = t ? g->c_cs : g->c_rs;
    p->c_cs = t ? g->c_rs : g->c_cs;
    p->bias = g->bias;
    p->bias_rs = t ? g->bias_cs : g->bias_rs;
    p->bias_cs = t ? g->bias_rs : g->bias_cs;
    p->mask = g->mask;
    p->mask_out = g->mask_out;
    p->mask_rs = g->N;
    p->mask_out_rs = g->N;
    p->out = g->out;
    p->out_rs = t ? g->out_cs : g->out_rs;
    p->out_cs = t ? g->out_rs : g->out_cs;
    p->activation = g->activation;
}

fnn_plan VARIANT(gemm_plan)(const void *args, int max_members)
{
    product p;
    gemm_product(args, &p);
    return product_plan(&p, max_members);
}

void VARIANT(gemm_run)(const void *args, const fnn_team *team)
{
    product p;
    gemm_product(args, &p);
    product_run(&p, team);
}
