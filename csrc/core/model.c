/* Programs read from files. The format is that of docs/program_file.md; nothing in a file is used
 * before it has been compared with the file's size and, all together, with its checksum. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/op.h"

enum { FORMAT = 1, HEADER = 32, MAX_ARRAYS = 64 };
static const char MAGIC[8] = "FNNPROG";

/* Where a pointer in the args points: file values. */
typedef enum space { IN_ARENA, IN_CONSTANT, IN_INPUT, IN_OUTPUT } space;

typedef struct relocation {
    char **where;
    int array;
    bool output;
    size_t offset;
} relocation;

struct fnn_model {
    char *file; /* the constants stay in it */
    char *arena;
    fnn_program *program;
    int inputs, outputs;
    fnn_array_type arrays[MAX_ARRAYS]; /* inputs, then outputs */
    relocation *relocations;
    size_t relocation_count;
};

/* ---- reading --------------------------------------------------------------------------------------- */

typedef struct reader {
    const char *path;
    char *message;
    size_t message_size;
    char *data;
    size_t size, at;
    bool failed;
} reader;

static void fail(reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(reader *r, const char *format, ...)
{
    if (r->failed) return;
    r->failed = true;
    const int n = snprintf(r->message, r->message_size, "%s: ", r->path);
    if (n < 0 || (size_t)n >= r->message_size) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->message + n, r->message_size - (size_t)n, format, arguments);
    va_end(arguments);
}

/* The next `size` bytes; NULL once something has failed. */
static char *take(reader *r, size_t size)
{
    if (r->failed || size > r->size - r->at) {
        fail(r, "the file is damaged: it ends too early");
        return NULL;
    }
    char *data = r->data + r->at;
    r->at += size;
    return data;
}

static uint64_t take_number(reader *r, size_t size)
{
    uint64_t number = 0;
    const char *data = take(r, size);
    if (data) memcpy(&number, data, size);
    return number;
}

static uint32_t take_u32(reader *r)
{
    return (uint32_t)take_number(r, 4);
}

static uint64_t take_u64(reader *r)
{
    return take_number(r, 8);
}

/* CRC-32 of ISO 3309, as in gzip. */
static uint32_t checksum(const char *data, size_t size)
{
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? UINT32_C(0xedb88320) : 0);
    }
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) crc = table[(crc ^ (unsigned char)data[i]) & 255] ^ crc >> 8;
    return ~crc;
}

static void read_file(reader *r)
{
    FILE *file = fopen(r->path, "rb");
    if (!file) {
        fail(r, "the file cannot be opened");
        return;
    }
    long size = -1;
    if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    if (size < 0 || fseek(file, 0, SEEK_SET) != 0) fail(r, "the file cannot be read");
    r->size = size > 0 ? (size_t)size : 0;
    if (!r->failed && r->size < HEADER) fail(r, "not a program: it has %zu bytes", r->size);
    const size_t rounded = (r->size + FNN_ALIGN) / FNN_ALIGN * FNN_ALIGN;
    if (!r->failed && !(r->data = aligned_alloc(FNN_ALIGN, rounded))) fail(r, "no memory");
    if (!r->failed && fread(r->data, 1, r->size, file) != r->size)
        fail(r, "the file cannot be read");
    fclose(file);
}

/* Magic, format, checksum of all that follows the header, its size, the library's version. */
static void read_header(reader *r)
{
    const char *magic = take(r, sizeof MAGIC);
    if (!magic) return;
    if (memcmp(magic, MAGIC, sizeof MAGIC) != 0) fail(r, "not a program of fastnn");
    const uint32_t format = take_u32(r), crc = take_u32(r);
    if (format != FORMAT) fail(r, "format %u, this library reads %d", format, FORMAT);
    const uint64_t size = take_u64(r);
    take(r, HEADER - 24);
    if (r->failed) return;
    if (size != r->size - HEADER) fail(r, "the file is damaged: it has not the size it states");
    else if (checksum(r->data + HEADER, r->size - HEADER) != crc)
        fail(r, "the file is damaged: its checksum differs");
    const uint32_t length = take_u32(r);
    const char *version = take(r, length);
    if (version && (length != strlen(fnn_version()) || memcmp(version, fnn_version(), length) != 0))
        fail(r, "made by fastnn %.*s, this is %s", (int)length, version, fnn_version());
    if (take_u32(r) != sizeof(void *)) fail(r, "made on a machine with pointers of another size");
}

static void read_array_type(reader *r, fnn_array_type *type)
{
    static const size_t sizes[] = {4, 8, 8, 1};
    const uint32_t kind = take_u32(r), dims = take_u32(r);
    if (kind > FNN_TYPE_U8 || dims > FNN_MAX_DIMS) fail(r, "the file is damaged: array type");
    if (r->failed) return;
    type->type = (fnn_type)kind;
    type->dims = (int)dims;
    type->bytes = sizes[kind];
    for (uint32_t d = 0; d < dims; d++) {
        const uint64_t size = take_u64(r);
        type->shape[d] = (int64_t)size;
        if (size > INT64_MAX || __builtin_mul_overflow(type->bytes, (size_t)size, &type->bytes))
            fail(r, "the file is damaged: array shape");
    }
}

/* ---- steps ------------------------------------------------------------------------------------------- */

typedef struct constants {
    uint32_t count;
    char **data;
    uint64_t *bytes;
} constants;

static void read_constants(reader *r, constants *all)
{
    all->count = take_u32(r);
    if (all->count > r->size / 8) fail(r, "the file is damaged: constants");
    if (r->failed) return;
    all->data = calloc((size_t)all->count + 1, sizeof *all->data);
    all->bytes = calloc((size_t)all->count + 1, sizeof *all->bytes);
    if (!all->data || !all->bytes) fail(r, "no memory");
    for (uint32_t i = 0; i < all->count && !r->failed; i++) {
        all->bytes[i] = take_u64(r);
        take(r, (FNN_ALIGN - r->at % FNN_ALIGN) % FNN_ALIGN);
        all->data[i] = take(r, all->bytes[i]);
    }
}

static int find_op(reader *r)
{
    const uint32_t length = take_u32(r);
    const char *name = take(r, length);
    for (int op = 0; name && op < fnn_op_count(); op++)
        if (strlen(fnn_op_name(op)) == length && memcmp(fnn_op_name(op), name, length) == 0)
            return op;
    fail(r, "an op that this library does not have");
    return 0;
}

/* Whether the args of the op have a pointer there. */
static bool is_pointer(int op, size_t offset)
{
    const fnn_operand *operands;
    const int count = fnn_op_operands(op, &operands);
    for (int i = 0; i < count; i++)
        if (operands[i].offset == offset) return true;
    return false;
}

typedef struct pointer {
    uint32_t step, offset, space, index;
    uint64_t at;
} pointer;

typedef struct listing {
    fnn_step *steps;
    int64_t *after;
    pointer *pointers;
    uint32_t count, pointer_count;
} listing;

static void read_steps(reader *r, listing *list)
{
    list->count = take_u32(r);
    list->pointer_count = take_u32(r);
    if (list->count > r->size || list->pointer_count > r->size) fail(r, "the file is damaged");
    if (r->failed) return;
    list->steps = calloc((size_t)list->count + 1, sizeof *list->steps);
    list->after = calloc((size_t)list->count + 1, sizeof *list->after);
    list->pointers = calloc((size_t)list->pointer_count + 1, sizeof *list->pointers);
    if (!list->steps || !list->after || !list->pointers) fail(r, "no memory");
    for (uint32_t i = 0; i < list->count && !r->failed; i++) {
        fnn_step *step = list->steps + i;
        step->op = find_op(r);
        step->dtype = (fnn_dtype)take_u32(r);
        const uint32_t size = take_u32(r);
        if (step->dtype >= FNN_DTYPES || size != fnn_op_size(step->op))
            fail(r, "the file is damaged: the args of %s", fnn_op_name(step->op));
        step->args = take(r, size);
        /* inference is a chain: each step waits for the one before */
        list->after[i] = (int64_t)i - 1;
        step->after = list->after + i;
        step->after_count = i > 0;
    }
    for (uint32_t i = 0; i < list->pointer_count && !r->failed; i++) {
        pointer *p = list->pointers + i;
        *p = (pointer){take_u32(r), take_u32(r), take_u32(r), take_u32(r), take_u64(r)};
        if (!r->failed &&
            (p->step >= list->count || !is_pointer(list->steps[p->step].op, p->offset)))
            fail(r, "the file is damaged: a pointer");
    }
    if (!r->failed && r->at != r->size) fail(r, "the file is damaged: it goes on after its end");
}

/* ---- models ------------------------------------------------------------------------------------------ */

static void point(reader *r, fnn_model *model, const pointer *p, const constants *all,
                  uint64_t arena)
{
    char **where = (char **)((char *)fnn_program_args(model->program, p->step) + p->offset);
    const uint32_t count =
        p->space == IN_INPUT ? (uint32_t)model->inputs : (uint32_t)model->outputs;
    if (p->space == IN_ARENA && p->at <= arena) {
        *where = model->arena + p->at;
    } else if (p->space == IN_CONSTANT && p->index < all->count && p->at <= all->bytes[p->index]) {
        *where = all->data[p->index] + p->at;
    } else if ((p->space == IN_INPUT || p->space == IN_OUTPUT) && p->index < count) {
        model->relocations[model->relocation_count++] =
            (relocation){where, (int)p->index, p->space == IN_OUTPUT, p->at};
    } else {
        fail(r, "the file is damaged: a pointer");
    }
}

static void read_model(reader *r, fnn_model *model, constants *all, listing *list)
{
    read_header(r);
    model->inputs = (int)take_u32(r);
    model->outputs = (int)take_u32(r);
    if (model->inputs < 0 || model->outputs < 0 || model->inputs > MAX_ARRAYS ||
        model->outputs > MAX_ARRAYS - model->inputs)
        fail(r, "the file is damaged: number of arrays");
    for (int i = 0; i < model->inputs + model->outputs && !r->failed; i++)
        read_array_type(r, model->arrays + i);
    const uint64_t arena = take_u64(r);
    read_constants(r, all);
    read_steps(r, list);
    if (r->failed) return;
    const size_t bytes =
        arena <= SIZE_MAX - 2 * FNN_ALIGN ? (arena / FNN_ALIGN + 2) * FNN_ALIGN : 0;
    model->arena = bytes ? aligned_alloc(FNN_ALIGN, bytes) : NULL;
    model->program = fnn_program_create(list->steps, list->count);
    model->relocations = calloc((size_t)list->pointer_count + 1, sizeof *model->relocations);
    if (!model->arena || !model->program || !model->relocations) fail(r, "no memory");
    for (uint32_t i = 0; i < list->pointer_count && !r->failed; i++)
        point(r, model, list->pointers + i, all, arena);
}

fnn_model *fnn_model_load(const char *path, char *message, size_t message_size)
{
    reader r = {.path = path, .message = message, .message_size = message_size};
    fnn_model *model = calloc(1, sizeof *model);
    constants all = {0};
    listing list = {0};
    if (!model) fail(&r, "no memory");
    if (!r.failed) read_file(&r);
    if (!r.failed) read_model(&r, model, &all, &list);
    free(all.data);
    free(all.bytes);
    free(list.steps);
    free(list.after);
    free(list.pointers);
    if (model) model->file = r.data;
    if (!r.failed) return model;
    fnn_model_free(model);
    return NULL;
}

void fnn_model_free(fnn_model *model)
{
    if (!model) return;
    fnn_program_destroy(model->program);
    free(model->relocations);
    free(model->arena);
    free(model->file);
    free(model);
}

int fnn_model_inputs(const fnn_model *model)
{
    return model->inputs;
}

int fnn_model_outputs(const fnn_model *model)
{
    return model->outputs;
}

const fnn_array_type *fnn_model_input(const fnn_model *model, int i)
{
    return model->arrays + i;
}

const fnn_array_type *fnn_model_output(const fnn_model *model, int i)
{
    return model->arrays + model->inputs + i;
}

fnn_status fnn_model_run(fnn_model *model, const void *const *inputs, void *const *outputs)
{
    for (size_t i = 0; i < model->relocation_count; i++) {
        const relocation *r = model->relocations + i;
        *r->where = (r->output ? (char *)outputs[r->array] : (char *)inputs[r->array]) + r->offset;
    }
    int64_t next = 0;
    return fnn_program_run(model->program, &next, 0);
}
