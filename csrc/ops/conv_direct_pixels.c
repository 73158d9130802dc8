/* Convolution with pixels in lanes, where the result has few channels: forward, and the gradient of
 * the input, which is a convolution of dy. A vector holds neighbouring pixels of one channel of the
 * result; rows of the image read are laid out channel by channel, so that what a tap sees of these
 * pixels is one load, and a weight one broadcast. No lane is idle for want of channels. */
#include "ops/activation.h"
#include "ops/conv_direct.h"
#include "ops/vector.h"

/* Multiply-adds that pay for one more member. */
static const int64_t WORK_PER_MEMBER = 200000;

/* Both passes in the same terms: out (N, GH, GW, M) is written, in (N, H, W, C) is read. */
typedef struct correlation {
    const fnn_conv2d_shape *s;
    bool backward;
    int64_t H, W, C, GH, GW, M;
    int64_t phases;    /* columns of out that far apart are seen by the same taps */
    int64_t residues;  /* columns of `in` that far apart lie side by side */
    int64_t left;      /* zeros before the first column of `in` */
    int64_t plane;     /* elements of a row of `in`: one channel, one residue */
    int64_t sum_plane; /* elements of a row of out: one channel, one phase */
    int64_t groups;    /* rows of out at a time */
    int64_t slots;     /* rows of `in` at a time */
    int64_t tiles;     /* of the channels of out, nearly equally many each */
    bool even;         /* every row of out sees as many rows */
} correlation;

static correlation describe(const fnn_conv2d_shape *s, fnn_conv_pass pass)
{
    correlation c = {.s = s, .backward = pass == FNN_CONV_BACKWARD_INPUT};
    const int64_t reach_h = (s->KH - 1) * s->dilation_h, reach_w = (s->KW - 1) * s->dilation_w;
    int64_t right, rows, step;
    if (c.backward) {
        c.H = s->OH, c.W = s->OW, c.C = s->O;
        c.GH = s->H, c.GW = s->W, c.M = s->C;
        c.phases = s->stride_w;
        c.residues = 1;
        c.left = max_i64(0, ceil_div(reach_w - s->pad_left, s->stride_w));
        right = c.left + (s->stride_w - 1 + s->pad_left) / s->stride_w;
        rows = reach_h / s->stride_h + 1;
        step = 1;
    } else {
        c.H = s->H, c.W = s->W, c.C = s->C;
        c.GH = s->OH, c.GW = s->OW, c.M = s->O;
        c.phases = 1;
        c.residues = s->stride_w;
        c.left = s->pad_left;
        right = reach_w / s->stride_w;
        rows = reach_h + 1;
        step = s->stride_h;
    }
    c.sum_plane = round_up(ceil_div(c.GW, c.phases), LANES);
    c.plane = round_up(c.sum_plane + right, LANES);
    c.even = !c.backward || s->stride_h == 1;
    c.groups = c.M <= 2 && c.even ? 2 : 1;
    c.slots = 1; /* a power of 2: then a row is found without a division */
    while (c.slots < min_i64(c.H, rows + (c.groups - 1) * step)) c.slots *= 2;
    c.tiles = ceil_div(c.M, PIXEL_CHANNELS);
    return c;
}

/* ---- what a tap sees ------------------------------------------------------------------------- */

/* The row of `in` that row i of out sees through row kh of the filter, which may lie in the
 * padding; false where that falls between two rows. */
static inline bool row_seen(const correlation *c, int64_t i, int64_t kh, int64_t *h)
{
    const fnn_conv2d_shape *s = c->s;
    if (!c->backward) {
        *h = i * s->stride_h - s->pad_top + kh * s->dilation_h;
        return true;
    }
    *h = i + s->pad_top - kh * s->dilation_h;
    if (s->stride_h == 1) return true; /* most are: divisions would be felt */
    if (*h % s->stride_h != 0) return false;
    *h /= s->stride_h;
    return true;
}

/* Where in a laid out row the first column of phase p sees channel 0 through column kw of the
 * filter; false likewise. */
static inline bool column_seen(const correlation *c, int64_t p, int64_t kw, int64_t *at)
{
    const fnn_conv2d_shape *s = c->s;
    const int64_t w = kw * s->dilation_w;
    if (!c->backward) {
        *at = w % s->stride_w * c->plane + w / s->stride_w;
        return true;
    }
    *at = p + s->pad_left - w;
    if (*at % s->stride_w != 0) return false;
    *at = *at / s->stride_w + c->left;
    return true;
}

/* ---- workspace of a member ------------------------------------------------------------------- */

/* Bytes from its begin. */
typedef struct layout {
    int64_t rows;    /* slots, and a row of zeros: channels x residues x plane */
    int64_t sums;    /* groups x phases x M x sum_plane */
    int64_t weights; /* phases x tiles of channels x KH x taps x channels */
    int64_t offset;  /* phases x taps, room for KW x C taps each */
    int64_t phases;
    int64_t tiles;
    int64_t size;
} layout;

/* Columns of out, `phases` apart. */
typedef struct phase {
    int64_t taps, vecs;
    const int64_t *offset; /* of what each tap sees */
    const real *weights;
} phase;

static inline int64_t row_size(const correlation *c)
{
    return saturating_mul(saturating_mul(c->C, c->residues), c->plane);
}

/* Where what follows `count` elements of `size` bytes at `at` begins; no more than enough to say
 * that it is too much. */
static inline int64_t after(int64_t at, int64_t count, size_t size)
{
    const int64_t bytes = saturating_mul(count, (int64_t)size);
    return at + round_up(min_i64(bytes, INT32_MAX), FNN_ALIGN);
}

static layout lay_out(const correlation *c)
{
    const fnn_conv2d_shape *s = c->s;
    layout l = {.rows = 0};
    l.sums = after(l.rows, saturating_mul(c->slots + 1, row_size(c)), sizeof(real));
    l.weights = after(l.sums, saturating_mul(c->groups * c->phases * c->M + QUAD, c->sum_plane),
                      sizeof(real));
    l.offset = after(l.weights, s->KH * s->KW * c->C * c->M, sizeof(real));
    l.phases = after(l.offset, c->phases * s->KW * c->C, sizeof(int64_t));
    l.tiles = after(l.phases, c->phases, sizeof(phase));
    l.size = after(l.tiles, c->tiles, sizeof(range));
    return l;
}

int64_t pixels_workspace(const fnn_conv2d_shape *s, fnn_conv_pass pass)
{
    const correlation c = describe(s, pass);
    return lay_out(&c).size;
}

typedef struct workspace {
    real *rows, *sums, *weights;
    int64_t *offset;
    phase *phases;
    range *tiles;
} workspace;

static workspace find_workspace(const layout *l, char *memory)
{
    return (workspace){.rows = (real *)(memory + l->rows),
                       .sums = (real *)(memory + l->sums),
                       .weights = (real *)(memory + l->weights),
                       .offset = (int64_t *)(memory + l->offset),
                       .phases = (phase *)(memory + l->phases),
                       .tiles = (range *)(memory + l->tiles)};
}

/* ---- weights --------------------------------------------------------------------------------- */

/* Row kh of the filters through column kw, all channels of `in`, those channels of out. Returns
 * where the next tap goes. */
static real *lay_out_tap(const correlation *c, const real *w, int64_t kh, int64_t kw,
                         range channels, real *to)
{
    const fnn_conv2d_shape *s = c->s;
    const int64_t tap = (kh * s->KW + kw) * s->C, filter = s->KH * s->KW * s->C;
    for (int64_t j = 0; j < c->C; j++)
        for (int64_t i = channels.begin; i < channels.end; i++)
            *to++ = c->backward ? w[j * filter + tap + i] : w[i * filter + tap + j];
    return to;
}

/* What each tap sees and its weights, in the order of the sums: backward, from the last tap on. */
static void lay_out_taps(const correlation *c, const real *w, const workspace *space)
{
    const fnn_conv2d_shape *s = c->s;
    real *to = space->weights;
    int64_t *offset = space->offset;
    for (int64_t i = 0; i < c->tiles; i++)
        space->tiles[i] = (range){c->M * i / c->tiles, c->M * (i + 1) / c->tiles};
    for (int64_t p = 0; p < c->phases; p++) {
        phase *these = &space->phases[p];
        these->vecs = ceil_div(ceil_div(c->GW - p, c->phases), LANES);
        these->offset = offset;
        these->weights = to;
        int64_t seen[MAX_KERNEL], at, count = 0;
        for (int64_t k = 0; k < s->KW; k++) {
            const int64_t kw = c->backward ? s->KW - 1 - k : k;
            if (!column_seen(c, p, kw, &at)) continue;
            seen[count++] = kw;
            for (int64_t j = 0; j < c->C; j++) *offset++ = at + j * c->residues * c->plane;
        }
        these->taps = count * c->C;
        for (int64_t i = 0; i < c->tiles; i++)
            for (int64_t kh = 0; kh < s->KH; kh++)
                for (int64_t k = 0; k < count; k++)
                    to = lay_out_tap(c, w, kh, seen[k], space->tiles[i], to);
    }
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* A row of an image of `in`: the columns that taps may see, between zeros which are there. */
static void lay_out_row(const correlation *c, const real *line, real *to)
{
    const int64_t pad = c->left, step = c->residues;
    if (step == 1) {
        split_channels(line, c->C, min_i64(c->W, c->plane - pad), c->C, to + pad, c->plane);
        return;
    }
    for (int64_t r = 0; r < step; r++) {
        /* The first column of that residue, counted from the left end of the padding. */
        const int64_t first = pad + ((r - pad) % step + step) % step;
        const int64_t columns = ceil_div(c->W - (first - pad), step);
        split_channels(line + (first - pad) * c->C, step * c->C,
                       min_i64(columns, c->plane - first / step), c->C,
                       to + r * c->plane + first / step, step * c->plane);
    }
}

/* Lays out the rows that `groups` rows of out from i on may see. Rows of out that follow each other
 * may see rows in turns (backward), so it is the range of them that ascends. */
static void lay_out_rows(const correlation *c, const real *image, int64_t i, int64_t groups,
                         row_ring *ring)
{
    const fnn_conv2d_shape *s = c->s;
    const int64_t reach = (s->KH - 1) * s->dilation_h, last = i + groups - 1;
    int64_t begin = max_i64(0, i * s->stride_h - s->pad_top),
            end = last * s->stride_h - s->pad_top + reach + 1;
    if (c->backward) {
        begin = ceil_div(max_i64(0, i + s->pad_top - reach), s->stride_h);
        end = (last + s->pad_top) / s->stride_h + 1;
    }
    end = min_i64(end, c->H);
    for (int64_t h = max_i64(begin, ring->next); h < end; h++)
        lay_out_row(c, image + h * c->W * c->C, (real *)ring_row(ring, h));
    ring->next = max_i64(ring->next, end);
}

/* Lists the rows that rows of out from i on see, in the order of the sums. */
static void find_rows(const correlation *c, int64_t i, int64_t groups, const row_ring *ring,
                      pixel_tiles *t)
{
    const fnn_conv2d_shape *s = c->s;
    int64_t h, kh;
    t->rows = 0;
    if (c->even) { /* all rows of the filters, which are then always the same */
        t->rows = s->KH;
        for (int64_t g = 0; g < groups; g++) {
            row_seen(c, i + g, c->backward ? s->KH - 1 : 0, &h);
            for (int64_t k = 0; k < s->KH; k++, h += s->dilation_h)
                t->seen[g][k] = ring_row(ring, h);
        }
        return;
    }
    for (int64_t k = 0; k < s->KH; k++) {
        kh = s->KH - 1 - k;
        if (!row_seen(c, i, kh, &h)) continue;
        t->seen[0][t->rows] = ring_row(ring, h);
        t->kernel_row[t->rows++] = kh;
    }
}

/* The sums of a row of out as pixels: phase after phase and channel after channel there. */
static void join_row(const correlation *c, const real *sums, real *out)
{
    const int64_t C = c->phases * c->M, n = c->phases == 1 ? c->GW : c->GW / c->phases;
    const int64_t rest = c->GW - n * c->phases;
    join_channels(sums, c->sum_plane, n, C, out);
    for (int64_t i = 0; i < rest * c->M; i++) out[n * C + i] = sums[i * c->sum_plane + n];
}

/* ---- the pass -------------------------------------------------------------------------------- */

typedef struct operands {
    const real *in, *w, *bias;
    real *out;
    fnn_activation activation;
} operands;

/* `groups` rows of out from row i on: sums of every phase and channel. */
static void compute_rows(const correlation *c, const operands *o, const workspace *space,
                         int groups, pixel_tiles *t)
{
    t->out_ld = c->sum_plane;
    t->out_group = c->phases * c->M * c->sum_plane;
    t->relu = o->activation == FNN_RELU;
    for (int64_t p = 0; p < c->phases; p++) {
        const phase *these = &space->phases[p];
        t->taps = these->taps;
        t->offset = these->offset;
        t->weights = these->weights;
        for (int64_t i = 0; i < c->tiles; i++) {
            const range channels = space->tiles[i];
            const int64_t count = channels.end - channels.begin;
            t->bias = o->bias ? o->bias + channels.begin : NULL;
            t->out = space->sums + (p * c->M + channels.begin) * c->sum_plane;
            run_pixel_tiles((int)count, groups, these->vecs, t);
            t->weights += c->s->KH * t->taps * count;
        }
    }
}

/* Rows of out, counted through the batch. */
static void compute(const correlation *c, const operands *o, range rows, const workspace *space)
{
    if (rows.begin == rows.end) return;
    lay_out_taps(c, o->w, space);
    const int64_t size = row_size(c), out_row = c->GW * c->M;
    memset(space->rows, 0, (size_t)((c->slots + 1) * size) * sizeof(real));
    row_ring ring = {.slot = space->rows,
                     .zero = space->rows + c->slots * size,
                     .mask = c->slots - 1,
                     .size = size,
                     .H = c->H};
    pixel_tiles t;
    for (int64_t k = 0; k < c->s->KH; k++) t.kernel_row[k] = c->backward ? c->s->KH - 1 - k : k;
    int64_t n = rows.begin / c->GH, i = rows.begin % c->GH;
    for (int64_t row = rows.begin, groups; row < rows.end; row += groups) {
        groups = min_i64(c->groups, min_i64(rows.end - row, c->GH - i));
        lay_out_rows(c, o->in + n * c->H * c->W * c->C, i, groups, &ring);
        find_rows(c, i, groups, &ring, &t);
        compute_rows(c, o, space, (int)groups, &t);
        for (int64_t g = 0; g < groups; g++) {
            real *out = o->out + (row + g) * out_row;
            join_row(c, space->sums + g * t.out_group, out);
            if (o->activation > FNN_RELU) activate(o->activation, out, out, out_row);
        }
        i += groups;
        if (i == c->GH) {
            i = 0;
            n++;
            ring.next = 0;
        }
    }
}

static fnn_plan plan(const fnn_conv2d_shape *s, fnn_conv_pass pass, int max_members)
{
    const correlation c = describe(s, pass);
    const int64_t rows = saturating_mul(s->N, c.GH);
    const int64_t work =
        saturating_mul(saturating_mul(window_count(s), s->O), s->KH * s->KW * s->C);
    const int members = members_for(work, WORK_PER_MEMBER, (int)min_i64(max_members, rows));
    return (fnn_plan){members, (size_t)members * (size_t)lay_out(&c).size};
}

static void run(const correlation *c, const operands *o, const fnn_team *team)
{
    const range rows = split(c->s->N * c->GH, c->groups, team->rank, team->size);
    const layout l = lay_out(c);
    const workspace mine = find_workspace(&l, (char *)team->workspace + team->rank * l.size);
    compute(c, o, rows, &mine);
}

fnn_plan pixels_forward_plan(const void *args, int max_members)
{
    const fnn_conv2d_forward_args *f = args;
    return plan(&f->shape, FNN_CONV_FORWARD, max_members);
}

void pixels_forward_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_forward_args *f = args;
    const correlation c = describe(&f->shape, FNN_CONV_FORWARD);
    const operands o = {f->x, f->w, f->bias, f->y, f->activation};
    run(&c, &o, team);
}

fnn_plan pixels_backward_input_plan(const void *args, int max_members)
{
    const fnn_conv2d_backward_input_args *i = args;
    return plan(&i->shape, FNN_CONV_BACKWARD_INPUT, max_members);
}

void pixels_backward_input_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_input_args *i = args;
    const correlation c = describe(&i->shape, FNN_CONV_BACKWARD_INPUT);
    const operands o = {i->dy, i->w, i->bias, i->dx, i->activation};
    run(&c, &o, team);
}
