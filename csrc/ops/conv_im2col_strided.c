/* The gradient of a convolution with respect to x where a stride is above 1. Pixels whose
 * coordinates leave the same remainders see the same taps of the filter, a part of it, and
 * neighbours among them see neighbouring outputs: each such class is a convolution at stride 1.
 * (One product over all taps would multiply stride_h * stride_w times as much, mostly zeros.)
 *
 *     for each class                       pack its taps of w
 *         for each line of pixels of it    dx = patches(dy) @ taps */
#include "ops/conv_im2col.h"
#include "ops/product.h"
#include "ops/tile.h"
#include "ops/window.h"

/* The pixels first, first + stride, ... of one axis, and the taps that they see: last, last - step,
 * ..., of which the last one reads window `origin` for the first pixel, the next one `distance`
 * windows further on, and so on; windows ascend. */
typedef struct axis_class {
    int64_t first, pixels, taps, last, step, origin, distance;
} axis_class;

static axis_class find_class(int64_t first, int64_t size, int64_t stride, int64_t pad, int64_t taps,
                             int64_t dilation)
{
    axis_class c = {.first = first, .pixels = ceil_div(size - first, stride), .step = stride};
    int64_t previous = -1;
    for (int64_t k = 0; k < taps; k++) {
        if ((first + pad - k * dilation) % stride != 0) continue;
        if (previous >= 0) c.step = k - previous;
        previous = c.last = k;
        c.taps++;
    }
    c.origin = (first + pad - c.last * dilation) / stride;
    c.distance = c.step * dilation / stride;
    return c;
}

/* Classes are numbered by the remainders of h and w. */
static axis_class row_class(const fnn_conv2d_shape *s, int64_t h)
{
    return find_class(h, s->H, s->stride_h, s->pad_top, s->KH, s->dilation_h);
}

static axis_class column_class(const fnn_conv2d_shape *s, int64_t w)
{
    return find_class(w, s->W, s->stride_w, s->pad_left, s->KW, s->dilation_w);
}

static product class_product(const fnn_conv2d_backward_input_args *a, int64_t group,
                             const axis_class *rows, const axis_class *cols)
{
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t Cg = s->C / s->groups, Og = s->O / s->groups;
    const int64_t filter = s->KH * s->KW * Cg;
    const int64_t last = (rows->last * s->KW + cols->last) * Cg;
    product p = {.M = cols->pixels,
                 .N = Cg,
                 .K = rows->taps * cols->taps * Og,
                 .a = output_patches(s, a->dy, group),
                 .b = {.base = (const real *)a->w + group * Og * filter + last,
                       .kind = STRIDED,
                       .inner = Og,
                       .outer_stride = -cols->step * Cg,
                       .outer_inner = max_i64(1, cols->taps),
                       .outermost_stride = -rows->step * s->KW * Cg,
                       .row_stride = filter,
                       .col_stride = 1},
                 .alpha = 1,
                 .bias = a->bias ? (const real *)a->bias + group * Cg : NULL,
                 .bias_cs = 1,
                 .activation = a->activation,
                 .out_rs = s->stride_w * s->C,
                 .out_cs = 1};
    patches *q = &p.a.patches;
    q->GH = rows->pixels, q->GW = cols->pixels;
    q->KH = rows->taps, q->KW = cols->taps;
    q->origin_h = rows->origin, q->origin_w = cols->origin;
    q->tap_h = rows->distance, q->tap_w = cols->distance;
    q->div_h = q->div_w = 1;
    q->dense = cols->distance == 1 && s->groups == 1;
    return p;
}

static int64_t packed_size(const product *p)
{
    return ceil_div(p->K * ceil_div(p->N, TILE_COLS) * TILE_COLS, FNN_ALIGN) * FNN_ALIGN;
}

/* Classes there are: as many as strides, where the image is no smaller. */
static int64_t class_rows(const fnn_conv2d_shape *s)
{
    return min_i64(s->stride_h, s->H);
}

static int64_t class_columns(const fnn_conv2d_shape *s)
{
    return min_i64(s->stride_w, s->W);
}

/* ---- the pass ------------------------------------------------------------------------------- */

/* Elements of the packed taps of all classes. */
static int64_t all_packed(const fnn_conv2d_backward_input_args *a)
{
    const fnn_conv2d_shape *s = &a->shape;
    int64_t size = 0;
    for (int64_t h = 0; h < class_rows(s); h++)
        for (int64_t w = 0; w < class_columns(s); w++) {
            const axis_class rows = row_class(s, h), cols = column_class(s, w);
            const product p = class_product(a, 0, &rows, &cols);
            size += packed_size(&p);
        }
    return size;
}

/* Enough for any class: what it depends on is the longest block of K. */
static size_t block_size(const fnn_conv2d_backward_input_args *a)
{
    const axis_class rows = row_class(&a->shape, 0), cols = column_class(&a->shape, 0);
    product p = class_product(a, 0, &rows, &cols);
    p.packed_b = a->w;
    p.M = TILE_ROWS, p.K = KC_MAX;
    const blocking b = product_blocking(&p);
    return product_workspace(&p, &b);
}

fnn_plan im2col_strided_plan(const fnn_conv2d_backward_input_args *a, int max_members)
{
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t Cg = s->C / s->groups, Og = s->O / s->groups;
    const int64_t work = saturating_mul(saturating_mul(window_count(s), s->KH * s->KW * Og), Cg);
    const int members = product_members(work, (int)min_i64(max_members, max_i64(1, s->N * s->H)));
    const size_t packed = (size_t)all_packed(a) * sizeof(real);
    return (fnn_plan){members, packed + (size_t)members * block_size(a)};
}

/* Those of the image lines [lines.begin, lines.end) of the batch that have pixels of the class. */
static void compute_class(const fnn_conv2d_backward_input_args *a, int64_t group, product *p,
                          const axis_class *rows, const axis_class *cols, range lines,
                          void *workspace)
{
    const fnn_conv2d_shape *s = &a->shape;
    const blocking b = product_blocking(p);
    for (int64_t i = lines.begin; i < lines.end; i++) {
        const int64_t n = i / s->H, h = i % s->H;
        if (h % s->stride_h != rows->first) continue;
        p->a.row_offset = (n * rows->pixels + h / s->stride_h) * cols->pixels;
        p->out = (real *)a->dx + (i * s->W + cols->first) * s->C + group * p->N;
        product_block(p, &b, (range){0, p->M}, (range){0, p->N}, workspace);
    }
}

void im2col_strided_run(const fnn_conv2d_backward_input_args *a, const fnn_team *team)
{
    const fnn_conv2d_shape *s = &a->shape;
    char *mine = (char *)team->workspace + (size_t)all_packed(a) * sizeof(real) +
                 (size_t)team->rank * block_size(a);
    const range lines = split(s->N * s->H, 1, team->rank, team->size);
    for (int64_t g = 0; g < s->groups; g++)
        for (int pass = 0; pass < 2; pass++) { /* pack all classes; compute all */
            real *packed = team->workspace;
            for (int64_t h = 0; h < class_rows(s); h++)
                for (int64_t w = 0; w < class_columns(s); w++) {
                    const axis_class rows = row_class(s, h), cols = column_class(s, w);
                    product p = class_product(a, g, &rows, &cols);
                    if (pass == 0) {
                        product_pack(&p.b, p.K, p.N, split(p.N, TILE_COLS, team->rank, team->size),
                                     packed);
                    } else {
                        p.packed_b = packed;
                        compute_class(a, g, &p, &rows, &cols, lines, mine);
                    }
                    packed += packed_size(&p);
                }
            fnn_team_barrier(team);
        }
}
