/* What programs are made from: the ops that a thread asks for, and the pointers in their args. */
#include "core/record.h"

static const struct {
    const char *name;
    size_t size;
} ops[FNN_OPS] = {
#define FNN_OP(name, args) {#name, sizeof(args)},
#include "ops/ops.def"
#undef FNN_OP
};

/* Both in the order of operands.def, where the operands of an op follow one another. */
static const fnn_operand operands[] = {
#define FNN_OPERAND(op, args, field, role) {#field, offsetof(args, field), role, 0},
#define FNN_FLAG_OPERAND(op, args, field, role, flag)                                              \
    {#field, offsetof(args, field), role, offsetof(args, flag)},
#include "core/operands.def"
#undef FNN_OPERAND
#undef FNN_FLAG_OPERAND
};
enum { OPERANDS = sizeof operands / sizeof *operands };

static const fnn_op_id owners[OPERANDS] = {
#define FNN_OPERAND(op, args, field, role) FNN_OP_##op,
#define FNN_FLAG_OPERAND(op, args, field, role, flag) FNN_OP_##op,
#include "core/operands.def"
#undef FNN_OPERAND
#undef FNN_FLAG_OPERAND
};

int fnn_op_count(void)
{
    return FNN_OPS;
}

const char *fnn_op_name(int op)
{
    return ops[op].name;
}

size_t fnn_op_size(int op)
{
    return ops[op].size;
}

int fnn_op_operands(int op, const fnn_operand **first)
{
    int begin = 0;
    while (begin < OPERANDS && (int)owners[begin] != op) begin++;
    int end = begin;
    while (end < OPERANDS && (int)owners[end] == op) end++;
    *first = operands + begin;
    return end - begin;
}

/* ---- recording ----------------------------------------------------------------------------------- */

static _Thread_local struct {
    fnn_record record;
    void *context;
} recorder;

void fnn_set_record(fnn_record record, void *context)
{
    recorder.record = record;
    recorder.context = record ? context : NULL;
}

void *fnn_record_context(void)
{
    return recorder.context;
}

bool fnn_recorded(fnn_op_id id, fnn_dtype dtype, const void *args)
{
    if (!recorder.record || id == FNN_OP_conv2d_choice) return false;
    recorder.record(recorder.context, (int)id, dtype, args);
    return true;
}
