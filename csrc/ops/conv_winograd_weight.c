/* Gradient of 3x3 and 5x5 convolution, stride 1, with respect to w, by Winograd's algorithm:
 *
 *     for each chunk of squares of the images         transform x      V: 36 x squares x C
 *                                                     transform dy     M: 36 x squares x O
 *         for each OB outputs, CB channels
 *             for each of 36 frequencies              U = M^T V        U: 36 x OB x CB
 *             transform U, add it to dw
 *
 * U stays in L2. The sum over squares is one chain in each chunk; chunks are added in order, after
 * the transform, where they are smaller than U. The cut depends on the shape alone. */
#include "ops/conv2d.h"
#include "ops/conv_winograd.h"

/* The gradient of 5x5 filters rounds 2.4 times as much as a chain over as many pixels: short sums
 * bring that to 1.8 (root mean square over 588 pixels). They cost an eighth of the time. */
enum { MAX_SQUARES = 96, MAX_SQUARES_5 = 48, MAX_CB = 64, OB = 4 * TILE_ROWS, VM_BYTES = 10 << 20 };

typedef struct blocks {
    squares x, dy;
    int64_t count, chunks, squares, CB;
    int64_t v_step, m_step, m_row, u_step;
    int64_t v, m, u; /* elements */
} blocks;

static blocks make_blocks(const fnn_conv2d_shape *s)
{
    blocks b = {.x = winograd_squares(s, s->OH, s->OW)};
    b.dy = b.x;
    b.x.H = s->H, b.x.W = s->W, b.x.pixel = s->C, b.x.C = s->C / s->groups;
    b.x.top = s->pad_top, b.x.left = s->pad_left;
    b.dy.H = s->OH, b.dy.W = s->OW, b.dy.pixel = s->O, b.dy.C = s->O / s->groups;
    b.count = square_count(&b.x);
    const int64_t room = VM_BYTES / (FREQUENCIES * (int64_t)sizeof(real)) / (b.x.C + b.dy.C);
    const int64_t most = min_i64(s->KH == 5 ? MAX_SQUARES_5 : MAX_SQUARES, room);
    b.chunks = max_i64(1, ceil_div(b.count, max_i64(TILE_ROWS, most)));
    b.squares = ceil_div(b.count, b.chunks); /* an empty batch is one chunk of none */
    b.CB = equal_blocks(b.x.C, MAX_CB, LANES);
    b.v_step = b.squares * b.CB + LINE;
    b.m_row = ceil_div(b.dy.C, LANES) * LANES + LINE;
    b.m_step = b.squares * b.m_row + LINE;
    b.u_step = OB * b.CB + LINE;
    b.v = ceil_div(b.x.C, b.CB) * FREQUENCIES * b.v_step;
    b.m = FREQUENCIES * b.m_step;
    b.u = FREQUENCIES * b.u_step;
    return b;
}

/* One group's gradient. */
typedef struct pass {
    const real *x, *dy;
    real *dw;
    bool accumulate;
} pass;

static void transform_chunk(const pass *p, const blocks *b, range chunk, range own, real *v,
                            real *m)
{
    const int64_t first = own.begin - chunk.begin, C = b->x.C;
    for (int64_t c = 0; c < C; c += b->CB) {
        const transformed to = {v + c / b->CB * FREQUENCIES * b->v_step + first * b->CB, b->v_step,
                                b->CB};
        winograd_inputs(&b->x, p->x, own, c, min_i64(b->CB, C - c), to);
    }
    winograd_gradients(&b->dy, p->dy, own, 0, b->dy.C,
                       (transformed){m + first * b->m_row, b->m_step, b->m_row});
}

/* Filters [outputs.begin, outputs.end) from a chunk's squares. */
static void compute_chunk(const pass *p, const blocks *b, int64_t squares, range outputs, bool add,
                          const real *v, const real *m, real *u)
{
    const int64_t C = b->x.C, size = SQUARE_IN + 1 - b->x.out;
    for (int64_t o = outputs.begin; o < outputs.end; o += OB)
        for (int64_t c = 0; c < C; c += b->CB) {
            const int64_t rows = min_i64(OB, outputs.end - o), cols = min_i64(b->CB, C - c);
            const tile_args t = {.kc = squares,
                                 .a = m + o,
                                 .a_rs = 1,
                                 .a_cs = b->m_row,
                                 .b = v + c / b->CB * FREQUENCIES * b->v_step,
                                 .b_rs = b->CB,
                                 .b_step = TILE_COLS,
                                 .out = u,
                                 .out_rs = b->CB};
            winograd_products(t, A_STRIDED, rows, cols, false, b->m_step, b->v_step, b->u_step);
            winograd_filter_gradients(size, u, b->u_step, b->CB, rows, cols, C, add,
                                      p->dw + o * size * size * C + c);
        }
}

/* ---- the pass ------------------------------------------------------------------------------- */

static size_t shared_size(const blocks *b)
{
    return (size_t)round_up((b->v + b->m) * (int64_t)sizeof(real), FNN_ALIGN);
}

static size_t member_size(const blocks *b)
{
    return (size_t)round_up(b->u * (int64_t)sizeof(real), FNN_ALIGN);
}

fnn_plan winograd_backward_weight_plan(const void *args, int max_members)
{
    const fnn_conv2d_backward_weight_args *w = args;
    const blocks b = make_blocks(&w->shape);
    const int64_t most = min_i64(max_members, ceil_div(b.dy.C, TILE_ROWS));
    const int members = members_for(winograd_work(&b.x, &b.dy), WINOGRAD_PER_MEMBER, (int)most);
    return (fnn_plan){members, shared_size(&b) + (size_t)members * member_size(&b)};
}

void winograd_backward_weight_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_weight_args *w = args;
    const blocks b = make_blocks(&w->shape);
    const int64_t C = b.x.C, O = b.dy.C;
    real *v = team->workspace, *m = v + b.v;
    real *u =
        (real *)((char *)team->workspace + shared_size(&b) + (size_t)team->rank * member_size(&b));
    const range outputs = split(O, TILE_ROWS, team->rank, team->size);
    for (int64_t g = 0; g < w->shape.groups; g++) {
        const pass p = {(const real *)w->x + g * C, (const real *)w->dy + g * O,
                        (real *)w->dw + g * O * w->shape.KH * w->shape.KW * C, w->accumulate};
        for (int64_t i = 0; i < b.chunks; i++) {
            const range chunk = part((range){0, b.count}, i, b.chunks);
            transform_chunk(&p, &b, chunk, part(chunk, team->rank, team->size), v, m);
            fnn_team_barrier(team);
            compute_chunk(&p, &b, chunk.end - chunk.begin, outputs, p.accumulate || i > 0, v, m, u);
            fnn_team_barrier(team);
        }
    }
}
