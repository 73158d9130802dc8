/* The product that gemm, linear and convolution share: C = act(beta*C + alpha*A@B + bias), where A
 * and B are sources. Members compute blocks of the output by themselves. */
#ifndef FNN_PRODUCT_H
#define FNN_PRODUCT_H

#include "ops/source.h"

typedef struct product {
    int64_t M, N, K;
    source a, b;
    const real *packed_b; /* b as product_pack leaves it; then the source is not read; or NULL */
    real alpha, beta;
    const real *c; /* read where beta != 0 */
    int64_t c_rs, c_cs;
    const real *bias; /* or NULL; one stride is 0 */
    int64_t bias_rs, bias_cs;
    const uint8_t *mask; /* or NULL; columns are 1 apart, as in mask_out */
    uint8_t *mask_out;   /* or NULL */
    int64_t mask_rs, mask_out_rs;
    real *out;
    int64_t out_rs, out_cs;
    fnn_activation activation;
    bool transposed; /* this is the transpose of what the caller asked for: a is their b */
} product;

/* How a product is cut: a function of its shape, strides, element type and instruction set, and of
 * this machine's caches. No bit of the result depends on it. */
typedef struct blocking {
    enum { A_PACKED, A_COPIED, A_IN_PLACE } a; /* copied: row by row, as patches are */
    enum { B_PACKED, B_IN_PLACE } b;
    int64_t MC, NC, KC;
} blocking;

#define product_blocking VARIANT(product_blocking)
blocking product_blocking(const product *p);

/* Multiply-adds, those of idle lanes too. */
#define product_work VARIANT(product_work)
int64_t product_work(const product *p);

/* Members that `work` multiply-adds pay for. */
#define product_members VARIANT(product_members)
int product_members(int64_t work, int max_members);

/* Bytes that product_block needs, a multiple of FNN_ALIGN. */
#define product_workspace VARIANT(product_workspace)
size_t product_workspace(const product *p, const blocking *s);

/* Rows and columns of the output, all of K. */
#define product_block VARIANT(product_block)
void product_block(const product *p, const blocking *s, range rows, range cols, void *workspace);

/* What is done last with the part of row m of the output that begins at column n, which is stored
 * at out: activation and masks. */
#define finish_row VARIANT(finish_row)
void finish_row(const product *p, int64_t m, int64_t n, int64_t cols, real *out);

/* Members that the whole product pays for, and their workspace. Dereferences nothing. */
#define product_plan VARIANT(product_plan)
fnn_plan product_plan(const product *p, int max_members);

/* Computes the whole product with the team, as product_plan planned it. */
#define product_run VARIANT(product_run)
void product_run(const product *p, const fnn_team *team);

/* Packs the panels of TILE_COLS columns of b (K x N) that begin in `cols`, all of K, for packed_b.
 * */
#define product_pack VARIANT(product_pack)
void product_pack(const source *b, int64_t K, int64_t N, range cols, real *to);

#endif
