/* 3x3 and 5x5 convolution, stride 1, by Winograd's algorithm: forward, and the gradient with respect
 * to x, which is the forward pass on dy with the filters turned round.
 *
 *     for each `squares` squares of the images        transform x      V: 36 x squares x C
 *         for each OB outputs
 *             for each CB channels of x               transform w      U: 36 x CB x OB
 *                 for each of 36 frequencies          M += V U         M: 36 x squares x OB
 *             transform M, bias, activation: y
 *
 * U stays in L2, V streams by in order. Filters are transformed anew for every `squares` squares,
 * which costs a few hundredths of the products: to keep them transformed takes four times their
 * memory, 38 MB for 512 channels, and reading that costs more. The sum over channels of each
 * frequency is one chain, so no bit of the result depends on the blocks, the batch, or the team. */
#include "ops/conv_winograd.h"
#include "ops/conv2d.h"

/* A pass as the loops see it. */
typedef struct pass {
    squares in, out;
    filters w;
    const real *x, *bias;
    real *y;
    fnn_activation activation;
} pass;

/* ---- blocks and workspace ------------------------------------------------------------------- */

/* 4x56x56x64 to 64, AVX2, 1 thread, by squares and panels of outputs: 24 and 1: 4.3 ms, 36 and 2:
 * 4.2 ms, 64 and 2: 3.9 ms, 96 and 1: 3.9 ms, 96 and 2: 3.5 ms, 128 and 2: 3.6 ms. 64x4x4x512 to
 * 512: 36 and 2: 18.9 ms, 64 and 2: 16.8 ms. CB 32 is slower, 128 not faster. */
enum { MAX_SQUARES = 96, MAX_CB = 64, PANELS = 2, V_BYTES = 5 << 20 };

typedef struct blocks {
    int64_t squares, CB, OB; /* OB: a multiple of TILE_COLS */
    int64_t v_step, u_step, m_step;
    int64_t v, u, m, scratch; /* elements */
} blocks;

static blocks make_blocks(const pass *p)
{
    blocks b;
    const int64_t C = p->in.C, O = p->out.C;
    b.CB = equal_blocks(C, MAX_CB, LANES);
    b.OB = min_i64(PANELS, ceil_div(O, TILE_COLS)) * TILE_COLS;
    const int64_t room = V_BYTES / (FREQUENCIES * (int64_t)sizeof(real)) / C;
    const int64_t most = max_i64(TILE_ROWS, min_i64(MAX_SQUARES, room));
    b.squares = max_i64(1, min_i64(most, square_count(&p->in)));
    b.v_step = b.squares * b.CB + LINE;
    b.u_step = b.CB * TILE_COLS + LINE;
    b.m_step = b.squares * b.OB + LINE;
    b.v = ceil_div(C, b.CB) * FREQUENCIES * b.v_step;
    b.u = b.OB / TILE_COLS * FREQUENCIES * b.u_step;
    b.m = FREQUENCIES * b.m_step;
    b.scratch = p->w.size * p->w.size * b.CB * TILE_COLS;
    return b;
}

/* ---- the loops ------------------------------------------------------------------------------ */

static void transform_inputs(const pass *p, const blocks *b, range round, range own, real *v)
{
    for (int64_t c = 0; c < p->in.C; c += b->CB) {
        const transformed to = {v + c / b->CB * FREQUENCIES * b->v_step +
                                    (own.begin - round.begin) * b->CB,
                                b->v_step, b->CB};
        winograd_inputs(&p->in, p->x, own, c, min_i64(b->CB, p->in.C - c), to);
    }
}

static void transform_filters(const pass *p, const blocks *b, int64_t c, int64_t n, int64_t cols,
                              real *u, real *scratch)
{
    const int64_t count = min_i64(b->CB, p->in.C - c);
    for (int64_t j = 0; j < cols; j += TILE_COLS, u += FREQUENCIES * b->u_step)
        winograd_filters(&p->w, c, count, n + j, min_i64(TILE_COLS, cols - j), u, b->u_step,
                         scratch);
}

/* Outputs [outputs.begin, outputs.end) of the squares of a round, whose inputs are in v. */
static void compute_round(const pass *p, const blocks *b, range round, range outputs, const real *v,
                          real *mine)
{
    real *u = mine, *m = u + b->u, *scratch = m + b->m;
    for (int64_t n = outputs.begin; n < outputs.end; n += b->OB) {
        const int64_t cols = min_i64(b->OB, outputs.end - n);
        for (int64_t c = 0; c < p->in.C; c += b->CB) {
            transform_filters(p, b, c, n, cols, u, scratch);
            const tile_args t = {.kc = min_i64(b->CB, p->in.C - c),
                                 .a = v + c / b->CB * FREQUENCIES * b->v_step,
                                 .a_rs = b->CB,
                                 .a_cs = 1,
                                 .b = u,
                                 .b_rs = TILE_COLS,
                                 .b_step = FREQUENCIES * b->u_step,
                                 .out = m,
                                 .out_rs = b->OB};
            winograd_products(t, A_ROWS, round.end - round.begin, cols, c > 0, b->v_step, b->u_step,
                              b->m_step);
        }
        winograd_outputs(&p->out, (transformed){m, b->m_step, b->OB}, round, n, cols,
                         p->bias ? p->bias + n : NULL, p->activation, p->y);
    }
}

/* ---- the team ------------------------------------------------------------------------------- */

static size_t member_size(const blocks *b)
{
    return (size_t)round_up((b->v + b->u + b->m + b->scratch) * (int64_t)sizeof(real), FNN_ALIGN);
}

static fnn_plan make_plan(const pass *p, int max_members)
{
    const blocks b = make_blocks(p);
    const int64_t count = square_count(&p->in);
    const int64_t parts = max_i64(count / b.squares, ceil_div(p->out.C, TILE_COLS));
    const int members = members_for(winograd_work(&p->in, &p->out), WINOGRAD_PER_MEMBER,
                                    (int)min_i64(max_members, parts));
    return (fnn_plan){members, (size_t)members * member_size(&b)};
}

/* Members take rounds of squares where there are enough; else they share V and take outputs. */
static void run(const pass *p, const fnn_team *team)
{
    const blocks b = make_blocks(p);
    const int64_t count = square_count(&p->in);
    const range all = {0, p->out.C};
    real *mine = (real *)((char *)team->workspace + (size_t)team->rank * member_size(&b));
    if (team->size == 1 || count >= team->size * b.squares) {
        const range own = part((range){0, count}, team->rank, team->size);
        const int64_t rounds = ceil_div(own.end - own.begin, b.squares);
        for (int64_t i = 0; i < rounds; i++) {
            const range round = part(own, i, rounds);
            transform_inputs(p, &b, round, round, mine);
            compute_round(p, &b, round, all, mine, mine + b.v);
        }
        return;
    }
    real *v = team->workspace;
    const range outputs = split(p->out.C, TILE_COLS, team->rank, team->size);
    const int64_t rounds = ceil_div(count, b.squares);
    for (int64_t i = 0; i < rounds; i++) {
        const range round = part((range){0, count}, i, rounds);
        transform_inputs(p, &b, round, part(round, team->rank, team->size), v);
        fnn_team_barrier(team);
        compute_round(p, &b, round, outputs, v, mine + b.v);
        fnn_team_barrier(team);
    }
}

/* ---- the passes ----------------------------------------------------------------------------- */

static pass forward_pass(const fnn_conv2d_forward_args *f, int64_t group)
{
    const fnn_conv2d_shape *s = &f->shape;
    const int64_t C = s->C / s->groups, O = s->O / s->groups, size = s->KH * s->KW * C;
    pass p = {.in = winograd_squares(s, s->OH, s->OW),
              .w = {(const real *)f->w + group * O * size, s->KH, C, 1, size},
              .x = (const real *)f->x + group * C,
              .bias = f->bias ? (const real *)f->bias + group * O : NULL,
              .y = (real *)f->y + group * O,
              .activation = f->activation};
    p.out = p.in;
    p.in.H = s->H, p.in.W = s->W, p.in.pixel = s->C, p.in.C = C;
    p.in.top = s->pad_top, p.in.left = s->pad_left;
    p.out.H = s->OH, p.out.W = s->OW, p.out.pixel = s->O, p.out.C = O;
    return p;
}

/* dx[h, w] sees dy[h + pad - dilation * kh, ...]: the taps from last to first. */
static pass backward_input_pass(const fnn_conv2d_backward_input_args *i, int64_t group)
{
    const fnn_conv2d_shape *s = &i->shape;
    const int64_t C = s->C / s->groups, O = s->O / s->groups, size = s->KH * s->KW * C;
    pass p = {.in = winograd_squares(s, s->H, s->W),
              .w = {(const real *)i->w + group * O * size + (size - C), s->KH, -C, size, 1},
              .x = (const real *)i->dy + group * O,
              .bias = i->bias ? (const real *)i->bias + group * C : NULL,
              .y = (real *)i->dx + group * C,
              .activation = i->activation};
    p.out = p.in;
    p.in.H = s->OH, p.in.W = s->OW, p.in.pixel = s->O, p.in.C = O;
    p.in.top = s->dilation_h * (s->KH - 1) - s->pad_top;
    p.in.left = s->dilation_w * (s->KW - 1) - s->pad_left;
    p.out.H = s->H, p.out.W = s->W, p.out.pixel = s->C, p.out.C = C;
    return p;
}

static fnn_plan forward_plan(const void *args, int max_members)
{
    const pass p = forward_pass(args, 0);
    return make_plan(&p, max_members);
}

static void forward_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_forward_args *f = args;
    for (int64_t g = 0; g < f->shape.groups; g++) {
        const pass p = forward_pass(f, g);
        run(&p, team);
    }
}

static fnn_plan backward_input_plan(const void *args, int max_members)
{
    const pass p = backward_input_pass(args, 0);
    return make_plan(&p, max_members);
}

static void backward_input_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_input_args *i = args;
    for (int64_t g = 0; g < i->shape.groups; g++) {
        const pass p = backward_input_pass(i, g);
        run(&p, team);
    }
}

/* Where bench_conv.py's rows and smaller ones of their kind are faster than by im2col. On AVX2, of
 * 8x16x16 images: 16 channels to 16 1.9 to 2.9 times, 16 to 32 2.4 to 2.8; of 8x3x3x64 1.3 times.
 * (One image of 4x4 is not, at 0.4 to 0.8, but the choice may not look at the batch.) Under 5x5
 * filters 8x16x16 images, 16 channels to 16, 1.5 to 2.2 times, 32 to 32 2.1 to 2.2; 8x3x3x64 1.05 to
 * 1.3 times. 2x64x64x16 at dilation 4 2.6 to 3.1 times, at 12 (phases of 6x6) 1.2 times. In float64 a tenth
 * to a fifth less. Maps of up
 * to 2 x 2 would use a quarter of a square. */
static bool takes(const fnn_conv2d_shape *s, int64_t OH, int64_t OW)
{
    return (s->KH == 3 || s->KH == 5) && s->KW == s->KH && s->stride_h == 1 && s->stride_w == 1 &&
           s->C >= 16 * s->groups && s->O >= 16 * s->groups && OH > 2 * s->dilation_h &&
           OW > 2 * s->dilation_w;
}

static bool forward_takes(const fnn_conv2d_shape *s)
{
    return takes(s, s->OH, s->OW);
}

static bool backward_input_takes(const fnn_conv2d_shape *s)
{
    return takes(s, s->H, s->W);
}

const conv_method winograd_methods[FNN_CONV_PASSES] = {
    [FNN_CONV_FORWARD] = {forward_plan, forward_run, forward_takes},
    [FNN_CONV_BACKWARD_INPUT] = {backward_input_plan, backward_input_run, backward_input_takes},
    [FNN_CONV_BACKWARD_WEIGHT] = {winograd_backward_weight_plan, winograd_backward_weight_run,
                                  forward_takes},
};
