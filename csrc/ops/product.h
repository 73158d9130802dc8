/* The product that gemm, linear and convolution share: C = act(beta*C + alpha*A@B + bias), where A
 * and B are sources. One member computes one block of the output by itself. */
#ifndef FNN_PRODUCT_H
#define FNN_PRODUCT_H

#include "ops/source.h"

typedef struct product {
    int64_t M, N, K;
    source a, b;
    real alpha, beta;
    const real *c; /* read where beta != 0 */
    int64_t c_rs, c_cs;
    const real *bias; /* (N) or NULL */
    int64_t bias_s;
    real *out;
    int64_t out_rs, out_cs;
    fnn_activation activation;
} product;

/* Bytes that product_block needs, a multiple of FNN_ALIGN. */
#define product_workspace VARIANT(product_workspace)
size_t product_workspace(int64_t M, int64_t N, int64_t K);

/* Rows and columns of the output, all of K. */
#define product_block VARIANT(product_block)
void product_block(const product *p, range rows, range cols, void *workspace);

/* Members that one product pays for, and their workspace. */
#define product_plan VARIANT(product_plan)
fnn_plan product_plan(int64_t M, int64_t N, int64_t K, int max_members);

/* Computes the whole product with the team, as product_plan planned it. */
#define product_run VARIANT(product_run)
void product_run(const product *p, const fnn_team *team);

#endif
