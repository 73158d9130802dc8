/* Convolution equals its seven loops: forward and the gradient of x bit for bit, as one chain each;
 * the gradient of w, whose sum is cut in chunks, on small integers, where every order is exact. */
#include <math.h>

#include "check.h"
#include "core/dispatch.h"

static uint64_t seed = 7;

static const fnn_conv2d_shape SHAPES[] = {
    {.N = 2,
     .H = 5,
     .W = 6,
     .C = 1,
     .O = 6,
     .KH = 5,
     .KW = 5,
     .OH = 5,
     .OW = 6,
     .stride_h = 1,
     .stride_w = 1,
     .pad_top = 2,
     .pad_left = 2,
     .dilation_h = 1,
     .dilation_w = 1,
     .groups = 1},
    {.N = 1,
     .H = 9,
     .W = 8,
     .C = 4,
     .O = 6,
     .KH = 3,
     .KW = 2,
     .OH = 4,
     .OW = 7,
     .stride_h = 2,
     .stride_w = 1,
     .pad_top = 1,
     .pad_left = 0,
     .dilation_h = 1,
     .dilation_w = 1,
     .groups = 2},
    {.N = 3,
     .H = 7,
     .W = 7,
     .C = 3,
     .O = 17,
     .KH = 3,
     .KW = 3,
     .OH = 2,
     .OW = 3,
     .stride_h = 3,
     .stride_w = 2,
     .pad_top = 0,
     .pad_left = 2,
     .dilation_h = 2,
     .dilation_w = 2,
     .groups = 1},
    {.N = 3,
     .H = 26,
     .W = 28,
     .C = 5,
     .O = 9,
     .KH = 3,
     .KW = 3,
     .OH = 26,
     .OW = 28,
     .stride_h = 1,
     .stride_w = 1,
     .pad_top = 1,
     .pad_left = 1,
     .dilation_h = 1,
     .dilation_w = 1,
     .groups = 1},
    {.N = 2, /* depthwise */
     .H = 26,
     .W = 21,
     .C = 21,
     .O = 21,
     .KH = 3,
     .KW = 3,
     .OH = 26,
     .OW = 11,
     .stride_h = 1,
     .stride_w = 2,
     .pad_top = 1,
     .pad_left = 1,
     .dilation_h = 1,
     .dilation_w = 1,
     .groups = 21},
    {.N = 2,
     .H = 9,
     .W = 7,
     .C = 19,
     .O = 19,
     .KH = 3,
     .KW = 3,
     .OH = 5,
     .OW = 4,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 1,
     .pad_left = 1,
     .dilation_h = 1,
     .dilation_w = 1,
     .groups = 19},
    {.N = 1,
     .H = 12,
     .W = 11,
     .C = 33,
     .O = 33,
     .KH = 5,
     .KW = 5,
     .OH = 12,
     .OW = 11,
     .stride_h = 1,
     .stride_w = 1,
     .pad_top = 2,
     .pad_left = 2,
     .dilation_h = 1,
     .dilation_w = 1,
     .groups = 33},
    {.N = 1,
     .H = 9,
     .W = 10,
     .C = 8,
     .O = 8,
     .KH = 3,
     .KW = 2,
     .OH = 9,
     .OW = 9,
     .stride_h = 1,
     .stride_w = 1,
     .pad_top = 2,
     .pad_left = 1,
     .dilation_h = 2,
     .dilation_w = 3,
     .groups = 8},
};

/* Offset in x of what tap (kh, kw) of output (n, oh, ow) reads, or -1 in the padding. */
static int64_t input_at(const fnn_conv2d_shape *s, int64_t n, int64_t oh, int64_t ow, int64_t kh,
                        int64_t kw)
{
    const int64_t h = oh * s->stride_h - s->pad_top + kh * s->dilation_h;
    const int64_t w = ow * s->stride_w - s->pad_left + kw * s->dilation_w;
    if (h < 0 || h >= s->H || w < 0 || w >= s->W) return -1;
    return ((n * s->H + h) * s->W + w) * s->C;
}

static void check_forward(fnn_dtype dtype, const fnn_conv2d_shape *s, const void *x, const void *w,
                          void *y)
{
    const int64_t Cg = s->C / s->groups, Og = s->O / s->groups;
    const fnn_conv2d_forward_args args = {.shape = *s, .x = x, .w = w, .y = y};
    CHECK(fnn_conv2d_forward(dtype, &args) == FNN_OK, "no memory");
    for (int64_t p = 0; p < s->N * s->OH * s->OW; p++)
        for (int64_t o = 0; o < s->O; o++) {
            double acc = 0;
            for (int64_t t = 0; t < s->KH * s->KW; t++) {
                const int64_t at = input_at(s, p / s->OW / s->OH, p / s->OW % s->OH, p % s->OW,
                                            t / s->KW, t % s->KW);
                for (int64_t c = 0; c < Cg; c++)
                    acc = chain(dtype, at < 0 ? 0 : get(dtype, x, at + o / Og * Cg + c),
                                get(dtype, w, (o * s->KH * s->KW + t) * Cg + c), acc);
            }
            CHECK(get(dtype, y, p * s->O + o) == acc, "forward, pixel %d channel %d", (int)p,
                  (int)o);
        }
}

/* The output along one axis that reads pixel `at` through tap k, or -1. */
static int64_t output_at(int64_t at, int64_t stride, int64_t pad, int64_t k, int64_t dilation,
                         int64_t outputs)
{
    for (int64_t i = 0; i < outputs; i++)
        if (i * stride - pad + k * dilation == at) return i;
    return -1;
}

static void check_backward_input(fnn_dtype dtype, const fnn_conv2d_shape *s, const void *dy,
                                 const void *w, void *dx)
{
    const int64_t Cg = s->C / s->groups, Og = s->O / s->groups, taps = s->KH * s->KW;
    const fnn_conv2d_backward_input_args args = {.shape = *s, .dy = dy, .w = w, .dx = dx};
    CHECK(fnn_conv2d_backward_input(dtype, &args) == FNN_OK, "no memory");
    for (int64_t q = 0; q < s->N * s->H * s->W * s->C; q++) {
        const int64_t c = q % s->C, col = q / s->C % s->W, row = q / s->C / s->W % s->H;
        const int64_t n = q / s->C / s->W / s->H, g = c / Cg;
        double acc = 0;
        for (int64_t t = taps - 1; t >= 0; t--) { /* outputs ascend as taps descend */
            const int64_t oh =
                output_at(row, s->stride_h, s->pad_top, t / s->KW, s->dilation_h, s->OH);
            const int64_t ow =
                output_at(col, s->stride_w, s->pad_left, t % s->KW, s->dilation_w, s->OW);
            if (oh < 0 || ow < 0) continue;
            for (int64_t o = g * Og; o < (g + 1) * Og; o++)
                acc = chain(dtype, get(dtype, dy, ((n * s->OH + oh) * s->OW + ow) * s->O + o),
                            get(dtype, w, (o * taps + t) * Cg + c % Cg), acc);
        }
        CHECK(get(dtype, dx, q) == acc, "gradient of x, element %d", (int)q);
    }
}

static void check_backward_weight(fnn_dtype dtype, const fnn_conv2d_shape *s, void *dy, void *x,
                                  void *dw)
{
    const int64_t Cg = s->C / s->groups, Og = s->O / s->groups, size = s->O * s->KH * s->KW * Cg;
    const fnn_conv2d_backward_weight_args args = {
        .shape = *s, .dy = dy, .x = x, .dw = dw, .accumulate = true};
    double *expected = malloc((size_t)size * sizeof *expected);
    CHECK(expected, "no memory");
    for (int64_t i = 0; i < size; i++) {
        expected[i] = get(dtype, dw, i);
        const int64_t c = i % Cg, t = i / Cg % (s->KH * s->KW), o = i / Cg / s->KH / s->KW;
        for (int64_t p = 0; p < s->N * s->OH * s->OW; p++) {
            const int64_t at =
                input_at(s, p / s->OW / s->OH, p / s->OW % s->OH, p % s->OW, t / s->KW, t % s->KW);
            if (at >= 0)
                expected[i] += get(dtype, dy, p * s->O + o) * get(dtype, x, at + o / Og * Cg + c);
        }
    }
    CHECK(fnn_conv2d_backward_weight(dtype, &args) == FNN_OK, "no memory");
    for (int64_t i = 0; i < size; i++)
        CHECK(get(dtype, dw, i) == expected[i], "gradient of w, element %d", (int)i);
    free(expected);
}

static void make_integers(fnn_dtype dtype, void *array, int64_t size)
{
    for (int64_t i = 0; i < size; i++) {
        const double value = (double)(int)(4 * get(dtype, array, i));
        if (dtype == FNN_F64) ((double *)array)[i] = value;
        else ((float *)array)[i] = (float)value;
    }
}

static void check_shape(fnn_dtype dtype, const fnn_conv2d_shape *s)
{
    const int64_t w_size = s->O * s->KH * s->KW * s->C / s->groups;
    const int64_t x_size = s->N * s->H * s->W * s->C, y_size = s->N * s->OH * s->OW * s->O;
    void *x = random_array(dtype, x_size, &seed), *w = random_array(dtype, w_size, &seed);
    void *y = random_array(dtype, y_size, &seed), *dx = random_array(dtype, x_size, &seed);
    void *dy = random_array(dtype, y_size, &seed);
    check_forward(dtype, s, x, w, y);
    check_backward_input(dtype, s, dy, w, dx);
    make_integers(dtype, dy, y_size);
    make_integers(dtype, x, x_size);
    make_integers(dtype, w, w_size);
    check_backward_weight(dtype, s, dy, x, w);
    free(x);
    free(w);
    free(y);
    free(dx);
    free(dy);
}

/* Filters of 3x3, padded so that images keep their size. */
static fnn_conv2d_shape same_3x3(int64_t N, int64_t H, int64_t W, int64_t C, int64_t O)
{
    return (fnn_conv2d_shape){.N = N,
                              .H = H,
                              .W = W,
                              .C = C,
                              .O = O,
                              .KH = 3,
                              .KW = 3,
                              .OH = H,
                              .OW = W,
                              .stride_h = 1,
                              .stride_w = 1,
                              .pad_top = 1,
                              .pad_left = 1,
                              .dilation_h = 1,
                              .dilation_w = 1,
                              .groups = 1};
}

/* At most 5 % of the images, however large they are, with two threads. */
static void check_workspace(void)
{
    const fnn_conv2d_shape s = same_3x3(8, 224, 224, 64, 64);
    const size_t limit = (size_t)(s.N * s.H * s.W * (s.C + s.O)) * sizeof(float) / 20;
    const fnn_conv2d_forward_args f = {.shape = s};
    const fnn_conv2d_backward_input_args i = {.shape = s};
    const fnn_conv2d_backward_weight_args w = {.shape = s};
    const struct {
        fnn_op_id id;
        const void *args;
    } passes[] = {{FNN_OP_conv2d_forward, &f},
                  {FNN_OP_conv2d_backward_input, &i},
                  {FNN_OP_conv2d_backward_weight, &w}};
    for (int p = 0; p < 3; p++) {
        const fnn_plan plan = fnn_selected_op(passes[p].id, FNN_F32)->plan(passes[p].args, 2);
        CHECK(plan.members == 2, "pass %d: %d members", p, plan.members);
        CHECK(plan.workspace <= limit, "pass %d: %zu bytes of workspace", p, plan.workspace);
    }
}

/* The same convolution by Winograd's algorithm and by im2col: no more apart than
 * (terms + 30) roundings of the largest sum there can be. The transforms enlarge by at most
 * `largest`: of 3x3 filters 26.3 (x, by the largest row of |B^T| squared) by 2.2 (w, |G|) by 54.3
 * (|A^T|); of 5x5 ones 26.3 by 3.6 by 27.5. Those of the gradient of w by up to 3.2 times as much,
 * in at most 16 squares, where the others sum over up to 37 channels. */
static void check_winograd(int64_t kernel, int64_t dilation, double largest)
{
    enum { X = 2 * 9 * 7 * 20, Y = 2 * 9 * 7 * 37, W = 37 * 25 * 20 };
    fnn_conv2d_shape s = same_3x3(2, 9, 7, 20, 37);
    s.KH = s.KW = kernel;
    s.dilation_h = s.dilation_w = dilation;
    s.pad_top = s.pad_left = dilation * (kernel / 2);
    fnn_conv2d_shape im2col = s;
    im2col.algorithm = FNN_CONV_IM2COL;
    uint64_t state = 5;
    float *x = random_array(FNN_F32, X, &state), *w = random_array(FNN_F32, W, &state);
    float *dy = random_array(FNN_F32, Y, &state);
    static float got[Y + X + W], want[Y + X + W];
    for (int a = 0; a < 2; a++) {
        float *y = a ? want : got, *dx = y + Y, *dw = dx + X;
        const fnn_conv2d_shape shape = a ? im2col : s;
        const fnn_conv2d_forward_args f = {.shape = shape, .x = x, .w = w, .y = y};
        const fnn_conv2d_backward_input_args i = {.shape = shape, .dy = dy, .w = w, .dx = dx};
        const fnn_conv2d_backward_weight_args g = {.shape = shape, .dy = dy, .x = x, .dw = dw};
        CHECK(fnn_conv2d_forward(FNN_F32, &f) == FNN_OK, "no memory");
        CHECK(fnn_conv2d_backward_input(FNN_F32, &i) == FNN_OK, "no memory");
        CHECK(fnn_conv2d_backward_weight(FNN_F32, &g) == FNN_OK, "no memory");
    }
    const double bound = largest * 37 * (37 + 30) * 1.2e-7;
    int different = 0;
    for (int i = 0; i < Y + X + W; i++) {
        CHECK(fabs((double)got[i] - want[i]) <= bound, "%d: %g, %g", i, got[i], want[i]);
        different += got[i] != want[i];
    }
    CHECK(different > 0, "the same algorithm twice");
    free(x), free(w), free(dy);
}

int main(void)
{
    require_isa();
    check_workspace();
    const int threads[] = {1, 3};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        fnn_set_num_threads(threads[t]);
        for (size_t s = 0; s < sizeof SHAPES / sizeof *SHAPES; s++)
            for (int dtype = 0; dtype < FNN_DTYPES; dtype++)
                check_shape((fnn_dtype)dtype, &SHAPES[s]);
        for (int64_t dilation = 1; dilation <= 2; dilation++) {
            check_winograd(3, dilation, 26.3 * 2.2 * 54.3);
            check_winograd(5, dilation, 26.3 * 3.6 * 27.5);
        }
    }
    puts(fnn_isa());
    return 0;
}
