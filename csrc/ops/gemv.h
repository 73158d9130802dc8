/* One row times a matrix: bound by the reading of the matrix, which nothing else shares. */
#ifndef FNN_GEMV_H
#define FNN_GEMV_H

#include "ops/product.h"

/* Whether p is one: then product_block does it by gemv, without workspace. */
#define is_gemv VARIANT(is_gemv)
bool is_gemv(const product *p);

/* Columns of the output, all of K. */
#define gemv VARIANT(gemv)
void gemv(const product *p, range cols);

#endif
