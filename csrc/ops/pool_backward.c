/* The gradients of pooling with respect to x. Members share out rows of pixels. Each pixel collects
 * what the windows that see it send it, in ascending order, and is written once: nothing is read
 * back, and members never write to the same place. */
#include "ops/pool.h"

/* A dx of that many L2 caches is stored past them where windows are two pixels wide: a store to a
 * cache reads the line first. On Zen 3, f32, one thread, 2x2: 64x16x16x128 (8 MiB) 0.6 ms instead of
 * 1.1 to 1.4, 4x56x56x256 1.0 to 1.2 instead of 1.8 to 2.2, 4x112x112x128 2.2 instead of 3.6. */
enum { STREAM_CACHES = 16 };

typedef enum pooling {
    MAXIMUM, /* y = x[index]: dx = dy where index is this tap, else 0 */
    AVERAGE, /* y = sum of x / count: dx = dy / count */
    SCALED,  /* y = coefficient * sum of x + bias: dx = coefficient * dy */
} pooling;

typedef struct gradient {
    const fnn_conv2d_shape *s;
    const real *dy;
    const uint8_t *indices;         /* MAXIMUM */
    const fnn_avg_pool2d_args *avg; /* AVERAGE */
    const real *coefficient;        /* SCALED */
    int64_t size;                   /* elements of dy */
    real *end;                      /* of this member's share of dx */
    bool stream;                    /* dx goes past the caches */
} gradient;

/* Some windows' element of dy: where it is, and what its window's sum was divided by. */
typedef struct sender {
    int64_t from;
    real count;
} sender;

/* What a window sends to every pixel it sees, LANES channels from c; `own` are those that exist. */
static inline __attribute__((always_inline)) vec sent(const gradient *g, pooling kind, sender one,
                                                      int64_t c, lanes own)
{
    const vec dy = *(const vec *)(g->dy + one.from + c);
    if (kind == AVERAGE) return dy / one.count;
    if (kind == SCALED) return dy * load_first(g->coefficient + c, own);
    return dy;
}

static inline __attribute__((always_inline)) real sent_scalar(const gradient *g, pooling kind,
                                                              sender one, int64_t c, int64_t tap)
{
    const real dy = g->dy[one.from + c];
    if (kind == AVERAGE) return dy / one.count;
    if (kind == SCALED) return dy * g->coefficient[c];
    return g->indices[one.from + c] == tap ? dy : 0;
}

static inline sender sender_at(const gradient *g, pooling kind, int64_t n, int64_t oh, int64_t ow)
{
    sender one = {((n * g->s->OH + oh) * g->s->OW + ow) * g->s->C, 0};
    if (kind == AVERAGE) one.count = avg_divisor(g->avg, oh, ow);
    return one;
}

/* All channels of `count` pixels, the first of which one window sees through tap `first`. */
static inline __attribute__((always_inline)) void send_vectors(const gradient *g, pooling kind,
                                                               sender one, int64_t first,
                                                               int64_t count, bool streams,
                                                               real *pixel)
{
    const int64_t C = g->s->C;
    const lanes own = first_lanes(min_i64(C, LANES));
    for (int64_t i = 0; i < C; i += LANES) {
        const int64_t c = vector_at(i, C);
        const vec dy = sent(g, kind, one, c, own);
        const vec_bits index =
            kind == MAXIMUM ? load_bytes(g->indices + one.from + c) : (vec_bits){0};
        for (int64_t k = 0; k < count; k++) {
            vec_bits to = (vec_bits)dy;
            if (kind == MAXIMUM) to &= (vec_bits)(index == (real_bits)(first + k));
            if (streams) stream(pixel + k * C + c, (vec)to);
            else *(vec *)(pixel + k * C + c) = (vec)to;
        }
    }
}

/* One window's taps in a row of pixels, where no two windows overlap. */
static inline __attribute__((always_inline)) void send_apart(const gradient *g, pooling kind,
                                                             sender one, range taps, real *pixel)
{
    const int64_t C = g->s->C, count = taps.end - taps.begin;
    const bool room =
        C >= LANES || (one.from + LANES <= g->size && pixel + (count - 1) * C + LANES <= g->end);
    if (room && count == 2 && g->stream) send_vectors(g, kind, one, taps.begin, 2, true, pixel);
    else if (room && count == 2) send_vectors(g, kind, one, taps.begin, 2, false, pixel);
    else if (room) send_vectors(g, kind, one, taps.begin, count, false, pixel);
    else
        for (int64_t k = 0; k < count; k++)
            for (int64_t c = 0; c < C; c++)
                pixel[k * C + c] = sent_scalar(g, kind, one, c, taps.begin + k);
}

/* Row h of the pixels of image n, where windows do not overlap; those that no window sees are 0. */
static inline __attribute__((always_inline)) void row_apart(const gradient *of, pooling kind,
                                                            int64_t n, int64_t h, real *row)
{
    const gradient own = *of, *g = &own; /* a copy, which stores to row cannot change */
    const fnn_conv2d_shape shape = *own.s, *s = &shape;
    const int64_t C = s->C, oh = min_i64((h + s->pad_top) / s->stride_h, s->OH - 1);
    const int64_t kh = h + s->pad_top - oh * s->stride_h;
    int64_t done = 0;
    for (int64_t ow = 0; ow < s->OW && kh < s->KH; ow++) {
        const int64_t w = ow * s->stride_w - s->pad_left;
        const range kw = taps_inside(w, s->KW, s->W);
        for (; done < w; done++) memset(row + done * C, 0, (size_t)C * sizeof(real));
        send_apart(g, kind, sender_at(g, kind, n, oh, ow),
                   (range){kh * s->KW + kw.begin, kh * s->KW + kw.end}, row + done * C);
        done = w + kw.end;
    }
    if (done < s->W) memset(row + done * C, 0, (size_t)((s->W - done) * C) * sizeof(real));
}

/* One pixel, seen by windows oh x ow; h and w count from the padding's corner. */
static inline __attribute__((always_inline)) void collect(const gradient *g, pooling kind,
                                                          int64_t n, int64_t h, int64_t w, range oh,
                                                          range ow, real *pixel)
{
    const fnn_conv2d_shape *s = g->s;
    const int64_t C = s->C;
    const lanes own = first_lanes(min_i64(C, LANES));
    const int64_t last = ((n * s->OH + oh.end - 1) * s->OW + ow.end - 1) * C;
    const bool room = C >= LANES || (last + LANES <= g->size && pixel + LANES <= g->end);
    for (int64_t i = 0; i < C; i += room ? LANES : 1) {
        const int64_t c = room ? vector_at(i, C) : i;
        vec sum = {0};
        real alone = 0;
        for (int64_t y = oh.begin; y < oh.end; y++)
            for (int64_t x = ow.begin; x < ow.end; x++) {
                const sender one = sender_at(g, kind, n, y, x);
                const int64_t tap = (h - y * s->stride_h) * s->KW + w - x * s->stride_w;
                if (room) {
                    vec_bits add = (vec_bits)sent(g, kind, one, c, own);
                    if (kind == MAXIMUM)
                        add &= (vec_bits)(load_bytes(g->indices + one.from + c) == (real_bits)tap);
                    sum += (vec)add;
                } else {
                    alone += sent_scalar(g, kind, one, c, tap);
                }
            }
        if (room) *(vec *)(pixel + c) = sum;
        else pixel[c] = alone;
    }
}

static inline __attribute__((always_inline)) void run(gradient *g, pooling kind, real *dx,
                                                      const fnn_team *team)
{
    const fnn_conv2d_shape *s = g->s;
    const int64_t pitch = s->W * s->C;
    const range lines = split(s->N * s->H, 1, team->rank, team->size);
    g->size = s->N * s->OH * s->OW * s->C;
    g->end = dx + lines.end * pitch;
    g->stream = s->C >= LANES && s->C % QUAD == 0 && (uintptr_t)dx % 16 == 0 &&
                s->N * s->H * pitch * (int64_t)sizeof(real) >= STREAM_CACHES * fnn_l2_cache();
    const bool apart = s->stride_h >= s->KH && s->stride_w >= s->KW;
    for (int64_t line = lines.begin; line < lines.end; line++) {
        const int64_t n = line / s->H, h = line % s->H;
        real *row = dx + line * pitch;
        if (apart) {
            row_apart(g, kind, n, h, row);
            continue;
        }
        const range oh = windows_over(h + s->pad_top, s->stride_h, s->KH, s->OH);
        for (int64_t w = 0; w < s->W; w++) {
            const range ow = windows_over(w + s->pad_left, s->stride_w, s->KW, s->OW);
            collect(g, kind, n, h + s->pad_top, w + s->pad_left, oh, ow, row + w * s->C);
        }
    }
    if (g->stream) stream_end();
}

static fnn_plan plan(const fnn_conv2d_shape *s, int max_members)
{
    const int64_t sent = saturating_mul(window_count(s), s->KH * s->KW);
    return pool_plan(s, max_i64(pixel_count(s), sent), max_members);
}

fnn_plan VARIANT(max_pool2d_backward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_max_pool2d_backward_args *)args)->shape;
    return plan(s, max_members);
}

void VARIANT(max_pool2d_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_max_pool2d_backward_args *a = args;
    gradient g = {.s = &a->shape, .dy = a->dy, .indices = a->indices};
    run(&g, MAXIMUM, a->dx, team);
}

fnn_plan VARIANT(avg_pool2d_backward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_avg_pool2d_args *)args)->shape;
    return plan(s, max_members);
}

void VARIANT(avg_pool2d_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_avg_pool2d_args *a = args;
    gradient g = {.s = &a->shape, .dy = a->in, .avg = a};
    run(&g, AVERAGE, a->out, team);
}

fnn_plan VARIANT(subsample2d_backward_input_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_subsample2d_backward_input_args *)args)->shape;
    return plan(s, max_members);
}

void VARIANT(subsample2d_backward_input_run)(const void *args, const fnn_team *team)
{
    const fnn_subsample2d_backward_input_args *a = args;
    gradient g = {.s = &a->shape, .dy = a->dy, .coefficient = a->coefficient};
    run(&g, SCALED, a->dx, team);
}
