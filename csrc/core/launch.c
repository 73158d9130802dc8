/* The way from a public function to a kernel: plan, workspace, team. */
#include "core/dispatch.h"
#include "core/record.h"
#include "core/team.h"
#include "core/workspace.h"

static fnn_status launch(fnn_op_id id, fnn_dtype dtype, const void *args)
{
    if (fnn_recorded(id, dtype, args)) return FNN_OK;
    const fnn_op *op = fnn_selected_op(id, dtype);
    const fnn_plan plan = op->plan(args, fnn_num_threads());
    void *workspace = NULL;
    if (plan.workspace > 0 && !(workspace = fnn_workspace(plan.workspace))) return FNN_ENOMEM;
    fnn_team_run(op, args, workspace, plan.members);
    return FNN_OK;
}

size_t fnn_packed_size(fnn_dtype dtype, int64_t K, int64_t N)
{
    const size_t size = dtype == FNN_F64 ? sizeof(double) : sizeof(float);
    size_t row, all;
    if (__builtin_mul_overflow((size_t)N, size, &row) || row > SIZE_MAX - FNN_PANEL_BYTES)
        return SIZE_MAX;
    row = (row + FNN_PANEL_BYTES - 1) / FNN_PANEL_BYTES * FNN_PANEL_BYTES;
    return __builtin_mul_overflow((size_t)K, row, &all) ? SIZE_MAX : all;
}

/* fnn_gemm and its siblings, as fastnn.h declares them. */
#define FNN_OP(name, args_type)                                                                    \
    fnn_status fnn_##name(fnn_dtype dtype, const args_type *args)                                  \
    {                                                                                              \
        return launch(FNN_OP_##name, dtype, args);                                                 \
    }
#include "ops/ops.def"
