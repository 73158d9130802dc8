/* Batches of products so small that what surrounds the arithmetic counts. */
#ifndef FNN_BATCH_H
#define FNN_BATCH_H

#include "ops/product.h"

/* Whether a batch of products such as p is best computed by product_batch. */
#define product_is_small VARIANT(product_is_small)
bool product_is_small(const product *p);

/* All of p, then all of what lies one step further in each of the three arrays, and so on. */
#define product_batch VARIANT(product_batch)
void product_batch(const product *p, int64_t count, int64_t a_step, int64_t b_step,
                   int64_t out_step);

#endif
