/* Max pooling. Members share out rows of windows. */
#include "ops/pool.h"

enum { NONE = 255 }; /* the index where ReLU leaves nothing of the maximum */

/* Where the loops over the taps are unrolled. */
static inline __attribute__((always_inline)) vec tap_at(const real *x, int64_t pitch, int64_t C,
                                                        int64_t kh, int64_t kw)
{
    return *(const vec *)(x + kh * pitch + kw * C);
}

static inline void store_max(vec best, vec_bits tap, bool relu, real *y, uint8_t *index)
{
    if (relu) {
        const vec_bits nothing = (vec_bits)(best <= 0);
        best = (vec)(~nothing & (vec_bits)best);
        tap |= nothing & NONE;
    }
    *(vec *)y = best;
    if (index) store_bytes(index, tap);
}

/* The maximum and its tap over taps kh x kw of a window whose tap (0, 0) is at x, LANES channels of
 * C. The first of equals stays. If `careful`, NaN is larger than all; else the sum of the taps is
 * returned, which is NaN where one of them is. */
static inline __attribute__((always_inline)) vec max_vector(const real *x, int64_t pitch, int64_t C,
                                                            range kh, range kw, int64_t KW,
                                                            bool relu, bool careful, real *y,
                                                            uint8_t *index)
{
    vec best = tap_at(x, pitch, C, kh.begin, kw.begin), sum = best;
    vec_bits tap = (vec_bits){0} + (real_bits)(kh.begin * KW + kw.begin);
#pragma GCC unroll 3
    for (int64_t i = kh.begin; i < kh.end; i++)
#pragma GCC unroll 3
        for (int64_t j = kw.begin; j < kw.end; j++) {
            if (i == kh.begin && j == kw.begin) continue;
            const vec at = tap_at(x, pitch, C, i, j);
            vec_bits larger = (vec_bits)(at > best);
            if (careful) larger = ~(vec_bits)(at <= best) & (vec_bits)(best == best);
            else sum += at;
            best = choose(larger, at, best);
            tap = (larger & (real_bits)(i * KW + j)) | (~larger & tap);
        }
    store_max(best, tap, relu, y, index);
    return sum;
}

static inline void max_scalar(const real *x, int64_t pitch, int64_t C, range kh, range kw,
                              int64_t KW, bool relu, real *y, uint8_t *index)
{
    real best = x[kh.begin * pitch + kw.begin * C];
    int64_t tap = kh.begin * KW + kw.begin;
    for (int64_t i = kh.begin; i < kh.end; i++)
        for (int64_t j = kw.begin; j < kw.end; j++) {
            const real at = x[i * pitch + j * C];
            const bool larger = !(at <= best) && best == best;
            best = larger ? at : best;
            tap = larger ? i * KW + j : tap;
        }
    const bool nothing = relu && best <= 0;
    *y = nothing ? 0 : best;
    if (index) *index = (uint8_t)(nothing ? NONE : tap);
}

/* Where a member reads and writes: before x_end and y_end. */
typedef struct reach {
    const real *x_end, *y_end;
} reach;

/* All channels of a window, its tap (0, 0) at x. */
static inline __attribute__((always_inline)) vec max_window(const real *x, int64_t pitch, int64_t C,
                                                            range kh, range kw, int64_t KW,
                                                            bool relu, bool careful, reach r,
                                                            real *y, uint8_t *indices)
{
    const real *last = x + (kh.end - 1) * pitch + (kw.end - 1) * C;
    vec sum = {0};
    if (C >= LANES || (y + LANES <= r.y_end && last + LANES <= r.x_end))
        for (int64_t i = 0; i < C; i += LANES) {
            const int64_t c = vector_at(i, C);
            sum += max_vector(x + c, pitch, C, kh, kw, KW, relu, careful, y + c,
                              indices ? indices + c : NULL);
        }
    else
        for (int64_t c = 0; c < C; c++)
            max_scalar(x + c, pitch, C, kh, kw, KW, relu, y + c, indices ? indices + c : NULL);
    return sum;
}

/* Out of line, for the registers of the loops that unroll their taps. */
static __attribute__((noinline)) vec max_window_any(const real *x, int64_t pitch, int64_t C,
                                                    range kh, range kw, int64_t KW, bool relu,
                                                    bool careful, reach r, real *y,
                                                    uint8_t *indices)
{
    return max_window(x, pitch, C, kh, kw, KW, relu, careful, r, y, indices);
}

static inline bool any_nan(vec v)
{
    bool found = false;
    for (int i = 0; i < LANES; i++) found |= v[i] != v[i];
    return found;
}

/* A row of windows; KH and KW are constants where the loops over the taps shall be unrolled. Returns
 * whether there was a NaN where no care was taken of it (or infinities cancelled). */
static inline __attribute__((always_inline)) bool max_row(const fnn_max_pool2d_forward_args *a,
                                                          int64_t line, reach r, int64_t KH,
                                                          int64_t KW, bool unrolled, bool careful)
{
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t C = s->C, pitch = s->W * C, OW = s->OW, W = s->W, step = s->stride_w;
    const int64_t h = line % s->OH * s->stride_h - s->pad_top;
    const bool relu = a->relu;
    const real *row = (const real *)a->x + (line / s->OH * s->H + h) * pitch;
    const range kh = taps_inside(h, KH, s->H), all_h = {0, KH}, all_w = {0, KW};
    const bool whole = unrolled && kh.end - kh.begin == KH;
    real *y = (real *)a->y + line * OW * C;
    uint8_t *indices = a->indices ? a->indices + line * OW * C : NULL;
    vec sum = {0};
    for (int64_t ow = 0, w = -s->pad_left; ow < OW; ow++, w += step) {
        const real *x = row + w * C;
        if (whole && w >= 0 && w + KW <= W)
            sum += max_window(x, pitch, C, all_h, all_w, KW, relu, careful, r, y, indices);
        else
            sum += max_window_any(x, pitch, C, kh, taps_inside(w, KW, W), KW, relu, careful, r, y,
                                  indices);
        y += C;
        if (indices) indices += C;
    }
    return any_nan(sum);
}

static __attribute__((noinline)) bool max_row_2x2(const fnn_max_pool2d_forward_args *a,
                                                  int64_t line, reach r)
{
    return max_row(a, line, r, 2, 2, true, false);
}

static __attribute__((noinline)) bool max_row_3x3(const fnn_max_pool2d_forward_args *a,
                                                  int64_t line, reach r)
{
    return max_row(a, line, r, 3, 3, true, false);
}

static bool max_row_any(const fnn_max_pool2d_forward_args *a, int64_t line, reach r, bool careful)
{
    return max_row(a, line, r, a->shape.KH, a->shape.KW, false, careful);
}

fnn_plan VARIANT(max_pool2d_forward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_max_pool2d_forward_args *)args)->shape;
    return forward_plan(s, max_members);
}

void VARIANT(max_pool2d_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_max_pool2d_forward_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const range lines = split(s->N * s->OH, 1, team->rank, team->size);
    const reach r = {.x_end = (const real *)a->x + s->N * s->H * s->W * s->C,
                     .y_end = (const real *)a->y + lines.end * s->OW * s->C};
    for (int64_t line = lines.begin; line < lines.end; line++) {
        const bool again = s->KH == 2 && s->KW == 2   ? max_row_2x2(a, line, r)
                           : s->KH == 3 && s->KW == 3 ? max_row_3x3(a, line, r)
                                                      : max_row_any(a, line, r, false);
        if (again) max_row_any(a, line, r, true);
    }
}
