/* Settings of the process and the table of ops that they select. */
#ifndef FNN_DISPATCH_H
#define FNN_DISPATCH_H

#include "core/op.h"

const fnn_op *fnn_selected_op(fnn_op_id id, fnn_dtype dtype);

#endif
