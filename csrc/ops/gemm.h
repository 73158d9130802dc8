/* What fnn_gemm_args describe, as a product. */
#ifndef FNN_GEMM_H
#define FNN_GEMM_H

#include "ops/product.h"

#define gemm_product VARIANT(gemm_product)
void gemm_product(const fnn_gemm_args *g, product *p);

#endif
