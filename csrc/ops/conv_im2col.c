/* Convolution as products whose im2col matrix is gathered straight into packed blocks. */
#include "ops/conv_im2col.h"
#include "ops/conv2d.h"
#include "ops/product.h"
#include "ops/reduce.h"
#include "ops/window.h"

/* ---- forward: Y (pixels x O) = patches(X) (pixels x K) @ W^T (K x O) ------------------------- */

static inline int64_t filter_size(const fnn_conv2d_shape *s)
{
    return s->KH * s->KW * (s->C / s->groups);
}

static product forward_product(const fnn_conv2d_forward_args *f, int64_t group)
{
    const fnn_conv2d_shape *s = &f->shape;
    const int64_t Og = s->O / s->groups, K = filter_size(s);
    return (product){.M = window_count(s),
                     .N = Og,
                     .K = K,
                     .a = input_patches(s, f->x, group),
                     .b = strided_source((const real *)f->w + group * Og * K, 1, K),
                     .alpha = 1,
                     .bias = f->bias ? (const real *)f->bias + group * Og : NULL,
                     .bias_cs = 1,
                     .out = (real *)f->y + group * Og,
                     .out_rs = s->O,
                     .out_cs = 1,
                     .activation = f->activation};
}

static fnn_plan forward_plan(const void *args, int max_members)
{
    const product p = forward_product(args, 0);
    return product_plan(&p, max_members);
}

static void forward_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_forward_args *f = args;
    for (int64_t g = 0; g < f->shape.groups; g++) {
        const product p = forward_product(f, g);
        product_run(&p, team);
    }
}

/* ---- backward, input: dX (N*H*W x C) = patches(dY) (N*H*W x KH*KW*Og) @ W (KH*KW*Og x C) ----- */

static product input_product(const fnn_conv2d_backward_input_args *i, int64_t group)
{
    const fnn_conv2d_shape *s = &i->shape;
    const int64_t Cg = s->C / s->groups, Og = s->O / s->groups;
    /* Row (tap, o) of the filter matrix is w[o, tap, :], the last tap first. */
    const int64_t last = (s->KH * s->KW - 1) * Cg;
    const source filters = {.base = (const real *)i->w + group * Og * filter_size(s) + last,
                            .kind = STRIDED,
                            .inner = Og,
                            .outer_stride = -Cg,
                            .row_stride = filter_size(s),
                            .col_stride = 1};
    return (product){.M = pixel_count(s),
                     .N = Cg,
                     .K = s->KH * s->KW * Og,
                     .a = output_patches(s, i->dy, group),
                     .b = filters,
                     .alpha = 1,
                     .bias = i->bias ? (const real *)i->bias + group * Cg : NULL,
                     .bias_cs = 1,
                     .out = (real *)i->dx + group * Cg,
                     .out_rs = s->C,
                     .out_cs = 1,
                     .activation = i->activation};
}

static bool is_strided(const fnn_conv2d_shape *s)
{
    return s->stride_h > 1 || s->stride_w > 1;
}

static fnn_plan backward_input_plan(const void *args, int max_members)
{
    const fnn_conv2d_backward_input_args *i = args;
    if (is_strided(&i->shape)) return im2col_strided_plan(i, max_members);
    const product p = input_product(args, 0);
    return product_plan(&p, max_members);
}

static void backward_input_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_input_args *i = args;
    if (is_strided(&i->shape)) {
        im2col_strided_run(i, team);
        return;
    }
    for (int64_t g = 0; g < i->shape.groups; g++) {
        const product p = input_product(i, g);
        product_run(&p, team);
    }
}

/* ---- backward, weight: dW (O x K) = dY^T (O x pixels) @ patches(X) (pixels x K) -------------- */

/* Chunks as short as this still fill the K loop of the tile. */
enum { CHUNK_PIXELS = 1024 };

/* Multiply-adds per member: twice those of a product, as there are the chunks to add. */
static const int64_t WORK_PER_MEMBER = 400000;

static int64_t chunk_count(const fnn_conv2d_shape *s)
{
    return pixel_chunks(window_count(s), CHUNK_PIXELS, s->O * filter_size(s));
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

static fnn_plan backward_weight_plan(const void *args, int max_members)
{
    const fnn_conv2d_backward_weight_args *w = args;
    const fnn_conv2d_shape *s = &w->shape;
    const int64_t Og = s->O / s->groups, chunks = chunk_count(s);
    const product whole = weight_product(w, 0, (range){0, window_count(s)}, w->dw, false);
    if (chunks == 1) return product_plan(&whole, max_members);
    const int64_t work =
        saturating_mul(saturating_mul(window_count(s), filter_size(s)), max_i64(Og, LANES));
    const int members = members_for(work, WORK_PER_MEMBER, (int)min_i64(max_members, chunks));
    const size_t partials = (size_t)(chunks * s->O * filter_size(s)) * sizeof(real);
    const blocking b = product_blocking(&whole);
    return (fnn_plan){members, (size_t)members * product_workspace(&whole, &b) + partials};
}

static void backward_weight_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_weight_args *w = args;
    const fnn_conv2d_shape *s = &w->shape;
    const int64_t chunks = chunk_count(s), P = window_count(s);
    const product whole = weight_product(w, 0, (range){0, P}, w->dw, w->accumulate);
    if (chunks == 1) {
        product_run(&whole, team);
        for (int64_t g = 1; g < s->groups; g++) {
            const product p = weight_product(w, g, (range){0, P}, w->dw, w->accumulate);
            product_run(&p, team);
        }
        return;
    }
    const int64_t size = s->O * filter_size(s);
    const blocking b = product_blocking(&whole);
    const size_t block = product_workspace(&whole, &b);
    char *mine = (char *)team->workspace + (size_t)team->rank * block;
    real *partials = (real *)((char *)team->workspace + (size_t)team->size * block);
    const range own = split(chunks, 1, team->rank, team->size);
    for (int64_t i = own.begin; i < own.end; i++)
        for (int64_t g = 0; g < s->groups; g++) {
            const range chunk = {P * i / chunks, P * (i + 1) / chunks};
            const product p = weight_product(w, g, chunk, partials + i * size, false);
            product_block(&p, &b, (range){0, p.M}, (range){0, p.N}, mine);
        }
    fnn_team_barrier(team);
    const range columns = split(size, LANES, team->rank, team->size);
    add_partials(partials, chunks, size, columns, w->dw, w->accumulate);
}

const conv_method im2col_methods[FNN_CONV_PASSES] = {
    [FNN_CONV_FORWARD] = {forward_plan, forward_run},
    [FNN_CONV_BACKWARD_INPUT] = {backward_input_plan, backward_input_run},
    [FNN_CONV_BACKWARD_WEIGHT] = {backward_weight_plan, backward_weight_run},
};
