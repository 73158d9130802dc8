/* Telling ops instead of running them. */
#ifndef FNN_RECORD_H
#define FNN_RECORD_H

#include "core/op.h"

/* Whether this thread records; the op has been told then. */
bool fnn_recorded(fnn_op_id id, fnn_dtype dtype, const void *args);

#endif
