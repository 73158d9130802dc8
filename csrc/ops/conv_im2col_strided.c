/* The gradient of a convolution with respect to x where a stride is above 1, phase by phase. (One
 * product over all taps would multiply stride_h * stride_w times as much, mostly zeros.)
 *
 *     for each phase                       pack its taps of w
 *         for each line of pixels of it    dx = patches(dy) @ taps */
#include "ops/conv_im2col.h"
#include "ops/phases.h"
#include "ops/product.h"
#include "ops/tile.h"
#include "ops/window.h"

static phase row_phase(const fnn_conv2d_shape *s, int64_t h)
{
    return find_phase(h, s->H, s->stride_h, s->pad_top, s->KH, s->dilation_h);
}

static phase column_phase(const fnn_conv2d_shape *s, int64_t w)
{
    return find_phase(w, s->W, s->stride_w, s->pad_left, s->KW, s->dilation_w);
}

static product phase_product(const fnn_conv2d_backward_input_args *a, int64_t group,
                             const phase *rows, const phase *cols)
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
                       .outer_stride = -cols->period * Cg,
                       .outer_inner = max_i64(1, cols->taps),
                       .outermost_stride = -rows->period * s->KW * Cg,
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
    q->tap_h = rows->spacing, q->tap_w = cols->spacing;
    q->dense = cols->spacing == 1 && s->groups == 1;
    return p;
}

static int64_t packed_size(const product *p)
{
    return round_up(p->K * round_up(p->N, TILE_COLS), FNN_ALIGN);
}

/* Phases there are: as many as strides, where the image is no smaller. */
static int64_t row_phases(const fnn_conv2d_shape *s)
{
    return min_i64(s->stride_h, s->H);
}

static int64_t column_phases(const fnn_conv2d_shape *s)
{
    return min_i64(s->stride_w, s->W);
}

/* ---- the pass ------------------------------------------------------------------------------- */

/* Elements of the packed taps of all phases. */
static int64_t all_packed(const fnn_conv2d_backward_input_args *a)
{
    const fnn_conv2d_shape *s = &a->shape;
    int64_t size = 0;
    for (int64_t h = 0; h < row_phases(s); h++) {
        const phase rows = row_phase(s, h);
        for (int64_t w = 0; w < column_phases(s); w++) {
            const phase cols = column_phase(s, w);
            const product p = phase_product(a, 0, &rows, &cols);
            size += packed_size(&p);
        }
    }
    return size;
}

/* Enough for any phase: what it depends on is the longest block of K. */
static size_t block_size(const fnn_conv2d_backward_input_args *a)
{
    const phase rows = row_phase(&a->shape, 0), cols = column_phase(&a->shape, 0);
    product p = phase_product(a, 0, &rows, &cols);
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

/* Those of the image lines [lines.begin, lines.end) of the batch that have pixels of the phase. */
static void compute_phase(const fnn_conv2d_backward_input_args *a, int64_t group, product *p,
                          const phase *rows, const phase *cols, range lines, void *workspace)
{
    const fnn_conv2d_shape *s = &a->shape;
    const blocking b = product_blocking(p);
    for (int64_t image = lines.begin / s->H; image * s->H < lines.end; image++) {
        const int64_t top = image * s->H, end = min_i64(top + s->H, lines.end);
        const int64_t skipped = max_i64(0, lines.begin - top - rows->first);
        int64_t i = ceil_div(skipped, s->stride_h);
        for (int64_t line = top + rows->first + i * s->stride_h; line < end;
             line += s->stride_h, i++) {
            p->a.row_offset = (image * rows->pixels + i) * cols->pixels;
            p->out = (real *)a->dx + (line * s->W + cols->first) * s->C + group * p->N;
            product_block(p, &b, (range){0, p->M}, (range){0, p->N}, workspace);
        }
    }
}

void im2col_strided_run(const fnn_conv2d_backward_input_args *a, const fnn_team *team)
{
    const fnn_conv2d_shape *s = &a->shape;
    char *mine = (char *)team->workspace + (size_t)all_packed(a) * sizeof(real) +
                 (size_t)team->rank * block_size(a);
    const range lines = split(s->N * s->H, 1, team->rank, team->size);
    const range columns = split(s->C / s->groups, TILE_COLS, team->rank, team->size);
    for (int64_t g = 0; g < s->groups; g++)
        for (int turn = 0; turn < 2; turn++) { /* pack all phases; compute all */
            real *packed = team->workspace;
            for (int64_t h = 0; h < row_phases(s); h++) {
                const phase rows = row_phase(s, h);
                for (int64_t w = 0; w < column_phases(s); w++) {
                    const phase cols = column_phase(s, w);
                    product p = phase_product(a, g, &rows, &cols);
                    if (turn == 0) {
                        product_pack(&p.b, p.K, p.N, columns, packed);
                    } else {
                        p.packed_b = packed;
                        compute_phase(a, g, &p, &rows, &cols, lines, mine);
                    }
                    packed += packed_size(&p);
                }
            }
            fnn_team_barrier(team);
        }
}
