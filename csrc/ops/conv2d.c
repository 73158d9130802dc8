/* Convolution as products whose im2col matrix is gathered straight into packed blocks. */
#include "ops/product.h"
#include "ops/reduce.h"
#include "ops/window.h"

/* ---- forward: Y (pixels x O) = patches(X) (pixels x K) @ W^T (K x O) ------------------------- */

static inline int64_t filter_size(const fnn_conv2d_shape *s)
{
    return s->KH * s->KW * (s->C / s->groups);
}

fnn_plan VARIANT(conv2d_forward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_conv2d_forward_args *)args)->shape;
    return product_plan(window_count(s), s->O / s->groups, filter_size(s), max_members);
}

void VARIANT(conv2d_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_conv2d_forward_args *f = args;
    const fnn_conv2d_shape *s = &f->shape;
    const int64_t Og = s->O / s->groups, K = filter_size(s);
    for (int64_t g = 0; g < s->groups; g++) {
        const product p = {.M = window_count(s),
                           .N = Og,
                           .K = K,
                           .a = input_patches(s, f->x, g),
                           .b = strided_source((const real *)f->w + g * Og * K, 1, K),
                           .alpha = 1,
                           .bias = f->bias ? (const real *)f->bias + g * Og : NULL,
                           .bias_s = 1,
                           .out = (real *)f->y + g * Og,
                           .out_rs = s->O,
                           .out_cs = 1,
                           .activation = f->activation};
        product_run(&p, team);
    }
}

/* ---- backward, input: dX (N*H*W x C) = patches(dY) (N*H*W x KH*KW*Og) @ W (KH*KW*Og x C) ----- */

fnn_plan VARIANT(conv2d_backward_input_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_conv2d_backward_input_args *)args)->shape;
    return product_plan(pixel_count(s), s->C / s->groups, s->KH * s->KW * (s->O / s->groups),
                        max_members);
}

void VARIANT(conv2d_backward_input_run)(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_input_args *i = args;
    const fnn_conv2d_shape *s = &i->shape;
    const int64_t Cg = s->C / s->groups, Og = s->O / s->groups;
    for (int64_t g = 0; g < s->groups; g++) {
        /* Row (tap, o) of the filter matrix is w[o, tap, :], the last tap first. */
        const int64_t last = (s->KH * s->KW - 1) * Cg;
        const source filters = {.base = (const real *)i->w + g * Og * filter_size(s) + last,
                                .kind = STRIDED,
                                .inner = Og,
                                .outer_stride = -Cg,
                                .row_stride = filter_size(s),
                                .col_stride = 1};
        const product p = {.M = pixel_count(s),
                           .N = Cg,
                           .K = s->KH * s->KW * Og,
                           .a = output_patches(s, i->dy, g),
                           .b = filters,
                           .alpha = 1,
                           .out = (real *)i->dx + g * Cg,
                           .out_rs = s->C,
                           .out_cs = 1};
        product_run(&p, team);
    }
}

/* ---- backward, weight: dW (O x K) = dY^T (O x pixels) @ patches(X) (pixels x K) -------------- */

/* The sum runs over every pixel of the batch while dW may be a few hundred numbers: the pixels are
 * cut in chunks that members share, each with a dW of its own, which are then added in order. The
 * cut depends on the shape alone. Chunks as short as this still fill the K loop of the tile;
 * their dW together stay below CHUNKS_SIZE elements, so that large filters, which have parallelism
 * enough in themselves, take few. */
enum { CHUNK_PIXELS = 1024, MAX_CHUNKS = 64, CHUNKS_SIZE = 1 << 20 };

/* Multiply-adds per member: twice those of a product, as there are the chunks to add. */
static const int64_t WORK_PER_MEMBER = 400000;

static int64_t chunk_count(const fnn_conv2d_shape *s)
{
    const int64_t size = max_i64(1, s->O * filter_size(s));
    const int64_t room = max_i64(1, CHUNKS_SIZE / size);
    return max_i64(1, min_i64(min_i64(MAX_CHUNKS, room), window_count(s) / CHUNK_PIXELS));
}

static product weight_product(const fnn_conv2d_backward_weight_args *w, int64_t group, range chunk,
                              real *dw, bool accumulate)
{
    const fnn_conv2d_shape *s = &w->shape;
    const int64_t Og = s->O / s->groups, K = filter_size(s);
    product p = {.M = Og,
                 .N = K,
                 .K = chunk.end - chunk.begin,
                 .a =
                     strided_source((const real *)w->dy + chunk.begin * s->O + group * Og, 1, s->O),
                 .b = input_patches(s, w->x, group),
                 .alpha = 1,
                 .out = dw + group * Og * K,
                 .out_rs = K,
                 .out_cs = 1};
    p.b.row_offset = chunk.begin;
    if (accumulate) {
        p.beta = 1;
        p.c = p.out;
        p.c_rs = K;
        p.c_cs = 1;
    }
    return p;
}

static inline size_t weight_block_workspace(const fnn_conv2d_shape *s)
{
    return product_workspace(s->O / s->groups, filter_size(s), window_count(s));
}

fnn_plan VARIANT(conv2d_backward_weight_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_conv2d_backward_weight_args *)args)->shape;
    const int64_t Og = s->O / s->groups, chunks = chunk_count(s);
    if (chunks == 1) return product_plan(Og, filter_size(s), window_count(s), max_members);
    const int64_t work =
        saturating_mul(saturating_mul(window_count(s), filter_size(s)), max_i64(Og, LANES));
    const int members = members_for(work, WORK_PER_MEMBER, (int)min_i64(max_members, chunks));
    const size_t partials = (size_t)(chunks * s->O * filter_size(s)) * sizeof(real);
    return (fnn_plan){members, (size_t)members * weight_block_workspace(s) + partials};
}

void VARIANT(conv2d_backward_weight_run)(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_weight_args *w = args;
    const fnn_conv2d_shape *s = &w->shape;
    const int64_t chunks = chunk_count(s), P = window_count(s);
    if (chunks == 1) {
        for (int64_t g = 0; g < s->groups; g++) {
            const product p = weight_product(w, g, (range){0, P}, w->dw, w->accumulate);
            product_run(&p, team);
        }
        return;
    }
    const int64_t size = s->O * filter_size(s);
    const size_t block = weight_block_workspace(s);
    char *mine = (char *)team->workspace + (size_t)team->rank * block;
    real *partials = (real *)((char *)team->workspace + (size_t)team->size * block);
    const range own = split(chunks, 1, team->rank, team->size);
    for (int64_t i = own.begin; i < own.end; i++)
        for (int64_t g = 0; g < s->groups; g++) {
            const range chunk = {P * i / chunks, P * (i + 1) / chunks};
            const product p = weight_product(w, g, chunk, partials + i * size, false);
            product_block(&p, (range){0, p.M}, (range){0, p.N}, mine);
        }
    fnn_team_barrier(team);
    const range columns = split(size, LANES, team->rank, team->size);
    add_partials(partials, chunks, size, columns, w->dw, w->accumulate);
}
