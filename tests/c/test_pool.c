/* Pooling equals its loops, exactly: maxima are, and so are sums of small integers, of windows whose
 * size is a power of 2. */
#include <math.h>

#include "check.h"

static uint64_t seed = 3;

/* Along one axis: `windows` of `size`, padded before the first. */
typedef struct axis {
    int64_t pixels, size, stride, pad, windows;
} axis;

static const axis AXES[] = {{8, 2, 2, 0, 4}, {9, 2, 2, 1, 5}, {7, 4, 3, 1, 2}, {5, 2, 1, 1, 6}};

static fnn_conv2d_shape make_shape(const axis *h, const axis *w, int64_t C)
{
    return (fnn_conv2d_shape){.N = 2,
                              .H = h->pixels,
                              .W = w->pixels,
                              .C = C,
                              .O = C,
                              .KH = h->size,
                              .KW = w->size,
                              .OH = h->windows,
                              .OW = w->windows,
                              .stride_h = h->stride,
                              .stride_w = w->stride,
                              .pad_top = h->pad,
                              .pad_left = w->pad,
                              .dilation_h = 1,
                              .dilation_w = 1,
                              .groups = 1};
}

static void *make_integers(fnn_dtype dtype, int64_t size)
{
    void *array = random_array(dtype, size, &seed);
    for (int64_t i = 0; i < size; i++) {
        const double value = (double)(int)(8 * get(dtype, array, i));
        if (dtype == FNN_F64) ((double *)array)[i] = value;
        else ((float *)array)[i] = (float)value;
    }
    return array;
}

/* Where tap t of output i, of (N, OH, OW, C), is in x, or -1 in the padding. */
static int64_t tap_at(const fnn_conv2d_shape *s, int64_t i, int64_t t)
{
    const int64_t c = i % s->C, ow = i / s->C % s->OW, oh = i / s->C / s->OW % s->OH;
    const int64_t n = i / s->C / s->OW / s->OH;
    const int64_t h = oh * s->stride_h - s->pad_top + t / s->KW;
    const int64_t w = ow * s->stride_w - s->pad_left + t % s->KW;
    if (h < 0 || h >= s->H || w < 0 || w >= s->W) return -1;
    return ((n * s->H + h) * s->W + w) * s->C + c;
}

static void check_gradient(fnn_dtype dtype, const double *want, const void *dx, int64_t size)
{
    for (int64_t i = 0; i < size; i++)
        CHECK(get(dtype, dx, i) == want[i], "dx[%d]: %g", (int)i, get(dtype, dx, i));
}

static void check_shape(fnn_dtype dtype, const fnn_conv2d_shape *s)
{
    const int64_t outs = s->N * s->OH * s->OW * s->C, ins = s->N * s->H * s->W * s->C;
    const int64_t taps = s->KH * s->KW;
    void *x = make_integers(dtype, ins), *dy = make_integers(dtype, outs);
    void *y = make_integers(dtype, outs), *mean = make_integers(dtype, outs);
    void *dx = make_integers(dtype, ins);
    uint8_t *indices = malloc((size_t)outs);
    double *of_max = calloc((size_t)ins, sizeof *of_max),
           *of_mean = calloc((size_t)ins, sizeof *of_mean);
    CHECK(indices && of_max && of_mean, "no memory");
    const fnn_max_pool2d_forward_args f = {.shape = *s, .x = x, .y = y, .indices = indices};
    fnn_avg_pool2d_args a = {.shape = *s, .count_include_pad = true, .in = x, .out = mean};
    a.pad_bottom = (s->OH - 1) * s->stride_h + s->KH - s->pad_top - s->H;
    a.pad_right = (s->OW - 1) * s->stride_w + s->KW - s->pad_left - s->W;
    a.pad_bottom = a.pad_bottom < 0 ? 0 : a.pad_bottom;
    a.pad_right = a.pad_right < 0 ? 0 : a.pad_right;
    CHECK(fnn_max_pool2d_forward(dtype, &f) == FNN_OK, "no memory");
    CHECK(fnn_avg_pool2d_forward(dtype, &a) == FNN_OK, "no memory");
    for (int64_t i = 0; i < outs; i++) {
        double most = -INFINITY, sum = 0;
        int64_t first = -1;
        for (int64_t t = 0; t < taps; t++) {
            const int64_t at = tap_at(s, i, t);
            if (at < 0) continue;
            of_mean[at] += get(dtype, dy, i) / (double)taps;
            sum += get(dtype, x, at);
            if (get(dtype, x, at) <= most) continue;
            most = get(dtype, x, at);
            first = t;
        }
        of_max[tap_at(s, i, first)] += get(dtype, dy, i);
        CHECK(get(dtype, y, i) == most && indices[i] == first, "maximum %d", (int)i);
        CHECK(get(dtype, mean, i) == sum / (double)taps, "mean %d", (int)i);
    }
    const fnn_max_pool2d_backward_args b = {.shape = *s, .dy = dy, .indices = indices, .dx = dx};
    CHECK(fnn_max_pool2d_backward(dtype, &b) == FNN_OK, "no memory");
    check_gradient(dtype, of_max, dx, ins);
    a.in = dy;
    a.out = dx;
    CHECK(fnn_avg_pool2d_backward(dtype, &a) == FNN_OK, "no memory");
    check_gradient(dtype, of_mean, dx, ins);
    free(x), free(y), free(dy), free(dx), free(mean), free(indices), free(of_max), free(of_mean);
}

int main(void)
{
    require_isa();
    enum { COUNT = sizeof AXES / sizeof *AXES };
    const int64_t channels[] = {1, 3, 8, 19, 33};
    for (int threads = 1; threads <= 3; threads += 2) {
        fnn_set_num_threads(threads);
        for (int i = 0; i < COUNT * COUNT * 5 * FNN_DTYPES; i++) {
            const int shape = i / FNN_DTYPES / 5;
            const fnn_conv2d_shape s = make_shape(&AXES[shape % COUNT], &AXES[shape / COUNT],
                                                  channels[i / FNN_DTYPES % 5]);
            check_shape((fnn_dtype)(i % FNN_DTYPES), &s);
        }
    }
    puts(fnn_isa());
    return 0;
}
