/* This variant's row of functions for each op. */
#include "ops/real.h"

#define FNN_OP(name, args)                                                                         \
    fnn_plan VARIANT(name##_plan)(const void *args_, int max_members);                             \
    void VARIANT(name##_run)(const void *args_, const fnn_team *team);
#include "ops/ops.def"
#undef FNN_OP

#define FNN_TABLE_(isa, suffix) fnn_ops_##isa##_##suffix
#define FNN_TABLE(isa, suffix) FNN_TABLE_(isa, suffix)

extern const fnn_op FNN_TABLE(FNN_ISA_NAME, FNN_SUFFIX)[FNN_OPS];
const fnn_op FNN_TABLE(FNN_ISA_NAME, FNN_SUFFIX)[FNN_OPS] = {
#define FNN_OP(name, args) {VARIANT(name##_plan), VARIANT(name##_run)},
#include "ops/ops.def"
#undef FNN_OP
};
