/* The way from a public function to a kernel: plan, workspace, team. */
#include "core/dispatch.h"
#include "core/team.h"
#include "core/workspace.h"

static fnn_status launch(fnn_op_id id, fnn_dtype dtype, const void *args)
{
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
    const size_t row = ((size_t)N * size + FNN_PANEL_BYTES - 1) / FNN_PANEL_BYTES * FNN_PANEL_BYTES;
    return (size_t)K * row;
}

/* fnn_gemm and its siblings, as fastnn.h declares them. */
#define FNN_OP(name, args_type)                                                                    \
    fnn_status fnn_##name(fnn_dtype dtype, const args_type *args)                                  \
    {                                                                                              \
        return launch(FNN_OP_##name, dtype, args);                                                 \
    }
#include "ops/ops.def"
