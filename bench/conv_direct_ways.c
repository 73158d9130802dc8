/* Which way of computing a convolution of few channels is the fastest, where: the table that the
 * rules in csrc/ops/conv_direct.c come from. Of every geometry it prints im2col's rate and how many
 * times as fast the direct ways are, one thread, in turns.
 *
 *     cmake -S . -B build -DFASTNN_PYTHON=OFF && cmake --build build
 *     cc -O2 -Icsrc -DVARIANT=avx2_f32 -DREAL=float bench/conv_direct_ways.c build/libfnn.a \
 *         -lpthread -lm -o ways
 *     ./ways forward 1       (or input, weight; the stride) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/op.h"

#define PASTE_(name, variant) name##_##variant
#define PASTE(name, variant) PASTE_(name, variant)
#define OF(name) PASTE(name, VARIANT)

typedef struct way {
    const char *name;
    fnn_plan (*plan)(const void *args, int max_members);
    void (*run)(const void *args, const fnn_team *team);
} way;

/* csrc/ops/conv2d.h */
typedef struct conv_method {
    fnn_plan (*plan)(const void *args, int max_members);
    void (*run)(const void *args, const fnn_team *team);
    bool (*takes)(const fnn_conv2d_shape *s);
} conv_method;

extern const conv_method OF(im2col_methods)[FNN_CONV_PASSES];
extern const conv_method OF(direct_methods)[FNN_CONV_PASSES];

#define DIRECT(name)                                                                               \
    fnn_plan OF(name##_plan)(const void *args, int max_members);                                   \
    void OF(name##_run)(const void *args, const fnn_team *team);
DIRECT(pixels_forward)
DIRECT(pixels_backward_input)
DIRECT(channels_forward)
DIRECT(scatter)
DIRECT(weight)

enum { MAX_WAYS = 3 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The fastest run of each. */
static void compare(const way *ways, int count, const void *args, double best[MAX_WAYS])
{
    void *memory[MAX_WAYS];
    for (int i = 0; i < count; i++) {
        const size_t size = ways[i].plan(args, 1).workspace;
        memory[i] = aligned_alloc(FNN_ALIGN, (size / FNN_ALIGN + 1) * FNN_ALIGN);
        best[i] = 1e9;
    }
    const double start = seconds();
    for (int round = 0; round < 4 || seconds() < start + 0.012; round++)
        for (int i = 0; i < count; i++) {
            const fnn_team team = {.size = 1, .workspace = memory[i]};
            const double begin = seconds();
            ways[i].run(args, &team);
            const double took = seconds() - begin;
            if (took < best[i]) best[i] = took;
        }
    for (int i = 0; i < count; i++) free(memory[i]);
}

/* The ways of a pass; a scatter needs two vectors of taps. */
static int list(fnn_conv_pass pass, const fnn_conv2d_shape *s, way ways[MAX_WAYS])
{
    const conv_method *im2col = &OF(im2col_methods)[pass];
    ways[0] = (way){"im2col", im2col->plan, im2col->run};
    switch (pass) {
    case FNN_CONV_FORWARD:
        ways[1] = (way){"pixels", OF(pixels_forward_plan), OF(pixels_forward_run)};
        ways[2] = (way){"channels", OF(channels_forward_plan), OF(channels_forward_run)};
        return 3;
    case FNN_CONV_BACKWARD_INPUT:
        ways[1] = (way){"pixels", OF(pixels_backward_input_plan), OF(pixels_backward_input_run)};
        ways[2] = (way){"scatter", OF(scatter_plan), OF(scatter_run)};
        return s->KW * s->C > 16 && s->KW * s->C <= 128 ? 3 : 2;
    default:
        ways[1] = (way){"weight", OF(weight_plan), OF(weight_run)};
        return 2;
    }
}

static REAL *numbers(int64_t n)
{
    REAL *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; x && i < n; i++) x[i] = (REAL)(i % 7 - 3);
    return x;
}

static void measure(fnn_conv_pass pass, int64_t size, int64_t k, int64_t C, int64_t O,
                    int64_t stride)
{
    fnn_conv2d_shape s = {.N = 1, .H = size, .W = size, .C = C, .O = O, .KH = k, .KW = k};
    s.pad_top = s.pad_left = k / 2;
    s.OH = s.OW = (size + 2 * s.pad_top - k) / stride + 1;
    s.stride_h = s.stride_w = stride;
    s.dilation_h = s.dilation_w = s.groups = 1;
    const double flops = 2.0 * (double)(s.OH * s.OW * O * k * k * C);
    while ((double)s.N * flops < 4e6 && s.N < 64) s.N *= 2;
    REAL *x = numbers(s.N * size * size * C), *y = numbers(s.N * s.OH * s.OW * O);
    REAL *w = numbers(O * k * k * C);
    const fnn_conv2d_forward_args f = {.shape = s, .x = x, .w = w, .y = y};
    const fnn_conv2d_backward_input_args i = {.shape = s, .dy = y, .w = w, .dx = x};
    const fnn_conv2d_backward_weight_args g = {.shape = s, .dy = y, .x = x, .dw = w};
    const void *const args[] = {&f, &i, &g};
    way ways[MAX_WAYS];
    double best[MAX_WAYS];
    const int count = list(pass, &s, ways);
    compare(ways, count, args[pass], best);
    printf("%2d^2 C %2d O %2d k %d: im2col %5.1f GFLOP/s", (int)size, (int)C, (int)O, (int)k,
           (double)s.N * flops / best[0] * 1e-9);
    for (int j = 1; j < count; j++) printf(", %s %5.2f", ways[j].name, best[0] / best[j]);
    puts(OF(direct_methods)[pass].takes(&s) ? ", direct" : "");
    free(x);
    free(y);
    free(w);
}

int main(int argc, char **argv)
{
    static const int sizes[] = {8, 14, 28, 56}, kernels[] = {1, 3, 5, 7};
    static const int channels[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
    if (argc != 3) return 2;
    const fnn_conv_pass pass = argv[1][0] == 'f'   ? FNN_CONV_FORWARD
                               : argv[1][0] == 'i' ? FNN_CONV_BACKWARD_INPUT
                                                   : FNN_CONV_BACKWARD_WEIGHT;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++)
            for (int c = 0; c < 10; c++)
                for (int o = 0; o < 11; o++)
                    if ((i + k + c + o) % 2 == 0) /* half of them tell as much */
                        measure(pass, sizes[i], kernels[k], channels[c], channels[o],
                                atoi(argv[2]));
    return 0;
}
