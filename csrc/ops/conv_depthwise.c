/* Depthwise convolution, forward and with respect to its input: the same sums, of what an output
 * sees, tap after tap. */
#include "ops/conv_depthwise.h"

#include "ops/activation.h"
#include "ops/phases.h"

/* Along one axis, outputs that see the same taps of the kernel. Forward these are all; going back,
 * where outputs are the pixels of x and inputs those of dy, they are `stride` apart. Tap t of output
 * i is over input origin + i * step + t * spacing. */
typedef struct axis {
    int64_t outs, first_out, out_step;
    int64_t taps, first_tap, tap_step; /* among the filter's as it is laid out */
    int64_t origin, step, spacing;
} axis;

static axis forward_axis(int64_t outs, int64_t taps, int64_t stride, int64_t pad, int64_t dilation)
{
    return (axis){.outs = outs,
                  .out_step = 1,
                  .taps = taps,
                  .tap_step = 1,
                  .origin = -pad,
                  .step = stride,
                  .spacing = dilation};
}

/* Outputs ascend from the last tap to the first, and so are the filters laid out. */
static axis backward_axis(int64_t first, int64_t outs, int64_t taps, int64_t stride, int64_t pad,
                          int64_t dilation)
{
    const phase p = find_phase(first, outs, stride, pad, taps, dilation);
    return (axis){.outs = p.pixels,
                  .first_out = first,
                  .out_step = stride,
                  .taps = p.taps,
                  .first_tap = p.taps > 0 ? taps - 1 - p.last : 0,
                  .tap_step = p.period,
                  .origin = p.origin,
                  .step = 1,
                  .spacing = p.spacing};
}

/* What either pass computes: y from x, or dx from dy. */
typedef struct pass {
    const fnn_conv2d_shape *shape;
    bool backward;
    const real *in, *bias; /* bias may be NULL */
    real *out;
    int64_t H, W;   /* of out */
    int64_t IH, IW; /* of in */
    fnn_activation activation;
    band band;
} pass;

/* The axes of p, by phase. */
typedef struct axes {
    int64_t row_phases, column_phases;
    axis rows[MAX_STRIDE], columns[MAX_STRIDE];
} axes;

static void find_axes(const pass *p, axes *a)
{
    const fnn_conv2d_shape *s = p->shape;
    a->row_phases = a->column_phases = 1;
    if (!p->backward) {
        a->rows[0] = forward_axis(p->H, s->KH, s->stride_h, s->pad_top, s->dilation_h);
        a->columns[0] = forward_axis(p->W, s->KW, s->stride_w, s->pad_left, s->dilation_w);
        return;
    }
    a->row_phases = min_i64(s->stride_h, p->H);
    a->column_phases = min_i64(s->stride_w, p->W);
    for (int64_t i = 0; i < a->row_phases; i++)
        a->rows[i] = backward_axis(i, p->H, s->KH, s->stride_h, s->pad_top, s->dilation_h);
    for (int64_t i = 0; i < a->column_phases; i++)
        a->columns[i] = backward_axis(i, p->W, s->KW, s->stride_w, s->pad_left, s->dilation_w);
}

/* What all rows of a group of channels have in common. */
typedef struct group {
    const real *image, *filters, *bias; /* of its first channel */
    int64_t channels;
} group;

/* Outputs of one row, one line of channels of a group. */
static void compute_line(const pass *p, const axes *a, const axis *rows, const band *b,
                         const group *g, int64_t line, const real *const *found, real *out)
{
    const fnn_conv2d_shape *s = p->shape;
    const real *filters = g->filters + line * s->KH * s->KW * LINE;
    for (int64_t i = 0; i < a->column_phases; i++) {
        const axis *columns = &a->columns[i];
        const strip t = {.rows = found,
                         .row_count = columns->taps > 0 ? rows->taps : 0,
                         .offset = (columns->origin - b->first) * LINE + line * plane_size(b),
                         .taps = columns->taps,
                         .step = columns->step * LINE,
                         .spacing = columns->spacing * LINE,
                         .w = filters + (rows->first_tap * s->KW + columns->first_tap) * LINE,
                         .w_row = rows->tap_step * s->KW * LINE,
                         .w_tap = columns->tap_step * LINE,
                         .y = out + columns->first_out * s->C + line * LINE,
                         .outs = columns->outs,
                         .y_out = columns->out_step * s->C,
                         .channels = min_i64(LINE, g->channels - line * LINE),
                         .bias = g->bias ? g->bias + line * LINE : NULL,
                         .relu = p->activation == FNN_RELU};
        depthwise_strip(&t);
    }
}

/* Row h of the outputs of an image, one group of channels. */
static void compute_row(const pass *p, const axes *a, band *b, const group *g, int64_t h, real *out)
{
    const fnn_conv2d_shape *s = p->shape;
    const axis *rows = &a->rows[h % a->row_phases];
    const real *found[MAX_ROWS];
    if (rows->taps > 0) {
        const int64_t top = rows->origin + h / a->row_phases * rows->step;
        const int64_t reach = (s->KH - 1) * s->dilation_h;
        const int64_t oldest =
            p->backward ? ceil_div(max_i64(0, h + s->pad_top - reach), s->stride_h) : top;
        band_rows(b, g->image, p->IH, p->IW, s->C, g->channels, oldest, top, rows->spacing,
                  rows->taps, found);
    }
    for (int64_t line = 0; line * LINE < g->channels; line++)
        compute_line(p, a, rows, b, g, line, found, out);
    if (p->activation > FNN_RELU)
        for (int64_t w = 0; w < p->W; w++)
            activate(p->activation, out + w * s->C, out + w * s->C, g->channels);
}

/* Multiply-adds per member. */
static const int64_t WORK_PER_MEMBER = 100000;

static int64_t row_count(const pass *p)
{
    return saturating_mul(p->shape->N, p->H);
}

static fnn_plan plan(const pass *p, int max_members)
{
    const int members = members_for(depthwise_work(p->shape), WORK_PER_MEMBER,
                                    (int)min_i64(max_members, row_count(p)));
    const int64_t band = p->band.planes * plane_size(&p->band);
    return (fnn_plan){members, (size_t)(filters_size(p->shape) + members * band) * sizeof(real)};
}

/* Rows [first, last) of image n, one group of channels after another. */
static void compute_rows(const pass *p, const axes *a, const real *filters, int64_t n,
                         int64_t first, int64_t last, real *memory)
{
    const fnn_conv2d_shape *s = p->shape;
    const int64_t channels = p->band.planes * LINE;
    for (int64_t c = 0; c < s->C; c += channels) {
        const group g = {.image = p->in + n * p->IH * p->IW * s->C + c,
                         .filters = filters + c * s->KH * s->KW,
                         .bias = p->bias ? p->bias + c : NULL,
                         .channels = min_i64(channels, s->C - c)};
        band b = p->band;
        band_begin(&b, memory);
        for (int64_t h = first; h < last; h++)
            compute_row(p, a, &b, &g, h, p->out + (n * p->H + h) * p->W * s->C + c);
    }
}

/* Members share rows of outputs, of all channels: arrays rarely begin where a line of the cache does,
 * and two that write to neighbouring channels would pass lines to and fro. */
static void run(const pass *p, const real *w, const fnn_team *team)
{
    const fnn_conv2d_shape *s = p->shape;
    real *filters = team->workspace, *mine = filters + filters_size(s);
    mine += team->rank * p->band.planes * plane_size(&p->band);
    lay_out_filters(s, w, split(line_count(s), 1, team->rank, team->size), p->backward, filters);
    fnn_team_barrier(team);
    axes a;
    find_axes(p, &a);
    range rows = split(row_count(p), 1, team->rank, team->size);
    while (rows.begin < rows.end) { /* an image, or what is mine of it */
        const int64_t first = rows.begin % p->H;
        const int64_t last = min_i64(p->H, first + rows.end - rows.begin);
        compute_rows(p, &a, filters, rows.begin / p->H, first, last, mine);
        rows.begin += last - first;
    }
}

static pass forward_pass(const fnn_conv2d_forward_args *f)
{
    const fnn_conv2d_shape *s = &f->shape;
    band b = {.first = -s->pad_left,
              .width = (round_up(s->OW, TILE) - 1) * s->stride_w + (s->KW - 1) * s->dilation_w + 1,
              .count = (s->KH - 1) * s->dilation_h + 1};
    b.planes = planes_in_cache(&b, line_count(s));
    return (pass){.shape = s,
                  .in = f->x,
                  .bias = f->bias,
                  .out = f->y,
                  .H = s->OH,
                  .W = s->OW,
                  .IH = s->H,
                  .IW = s->W,
                  .activation = f->activation,
                  .band = b};
}

static fnn_plan forward_plan(const void *args, int max_members)
{
    const pass p = forward_pass(args);
    return plan(&p, max_members);
}

static void forward_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_forward_args *f = args;
    const pass p = forward_pass(f);
    run(&p, f->w, team);
}

/* Pixel w is seen by outputs from (w + pad - reach) / stride to (w + pad) / stride. */
static pass input_pass(const fnn_conv2d_backward_input_args *i)
{
    const fnn_conv2d_shape *s = &i->shape;
    const int64_t reach = (s->KW - 1) * s->dilation_w;
    const int64_t first = s->pad_left >= reach ? (s->pad_left - reach) / s->stride_w
                                               : -ceil_div(reach - s->pad_left, s->stride_w);
    const int64_t last = (s->stride_w - 1 + s->pad_left) / s->stride_w +
                         round_up(ceil_div(s->W, s->stride_w), TILE) - 1;
    band b = {.first = first,
              .width = last - first + 1,
              .count = (s->KH - 1) * s->dilation_h / s->stride_h + 1};
    b.planes = planes_in_cache(&b, line_count(s));
    return (pass){.shape = s,
                  .backward = true,
                  .in = i->dy,
                  .bias = i->bias,
                  .out = i->dx,
                  .H = s->H,
                  .W = s->W,
                  .IH = s->OH,
                  .IW = s->OW,
                  .activation = i->activation,
                  .band = b};
}

static fnn_plan backward_input_plan(const void *args, int max_members)
{
    const pass p = input_pass(args);
    return plan(&p, max_members);
}

static void backward_input_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_input_args *i = args;
    const pass p = input_pass(i);
    run(&p, i->w, team);
}

const conv_method depthwise_methods[FNN_CONV_PASSES] = {
    [FNN_CONV_FORWARD] = {forward_plan, forward_run, depthwise_takes},
    [FNN_CONV_BACKWARD_INPUT] = {backward_input_plan, backward_input_run, depthwise_takes},
    [FNN_CONV_BACKWARD_WEIGHT] = {depthwise_weight_plan, depthwise_weight_run, depthwise_takes},
};
