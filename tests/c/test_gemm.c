/* gemm equals the loop that specifies it, bit for bit, at any blocking, stride and team. */
#include "check.h"

static uint64_t seed = 1;

/* Strides of a (rows, cols) operand: by rows, or transposed. */
static void strides(int transposed, int64_t rows, int64_t cols, int64_t *rs, int64_t *cs)
{
    *rs = transposed ? 1 : cols + 3;
    *cs = transposed ? rows + 1 : 1;
}

static void check_one(fnn_dtype dtype, int64_t M, int64_t N, int64_t K, int layout, double alpha,
                      double beta)
{
    fnn_gemm_args g = {.M = M, .N = N, .K = K, .alpha = alpha, .beta = beta};
    g.activation = layout % 2 ? FNN_RELU : FNN_IDENTITY;
    strides(layout & 1, M, K, &g.a_rs, &g.a_cs);
    strides(layout & 2, K, N, &g.b_rs, &g.b_cs);
    strides(layout & 4, M, N, &g.out_rs, &g.out_cs);
    const int64_t out_size = (M + 3) * (N + 3);
    void *a = random_array(dtype, (M + 3) * (K + 3), &seed);
    void *b = random_array(dtype, (K + 3) * (N + 3), &seed);
    void *bias = random_array(dtype, N, &seed);
    void *out = random_array(dtype, out_size, &seed);
    void *c = random_array(dtype, out_size, &seed);
    memcpy(c, out, (size_t)out_size * (dtype == FNN_F64 ? sizeof(double) : sizeof(float)));
    g.a = a;
    g.b = b;
    g.bias = bias;
    g.bias_cs = 1;
    g.c = g.out = out;
    g.c_rs = g.out_rs;
    g.c_cs = g.out_cs;
    CHECK(fnn_gemm(dtype, &g) == FNN_OK, "no memory");

    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            const int64_t at = i * g.out_rs + j * g.out_cs;
            double acc = beta == 0 ? 0 : beta * get(dtype, c, at);
            if (dtype == FNN_F32) acc = (float)acc;
            for (int64_t k = 0; k < K; k++) {
                double factor = alpha * get(dtype, a, i * g.a_rs + k * g.a_cs);
                if (dtype == FNN_F32) factor = (float)factor;
                acc = chain(dtype, factor, get(dtype, b, k * g.b_rs + j * g.b_cs), acc);
            }
            acc += get(dtype, bias, j);
            if (dtype == FNN_F32) acc = (float)acc;
            if (g.activation == FNN_RELU && acc <= 0) acc = 0;
            CHECK(get(dtype, out, at) == acc,
                  "%dx%dx%d layout %d dtype %d threads %d at (%d, %d): %.17g, not %.17g", (int)M,
                  (int)N, (int)K, layout, dtype, fnn_num_threads(), (int)i, (int)j,
                  get(dtype, out, at), acc);
        }
    free(a);
    free(b);
    free(c);
    free(bias);
    free(out);
}

int main(void)
{
    require_isa();
    const int64_t sizes[][3] = {{1, 1, 1},   {1, 5, 0},     {5, 7, 3},     {6, 8, 11},
                                {7, 9, 64},  {12, 32, 17},  {13, 33, 256}, {24, 16, 257},
                                {25, 65, 3}, {37, 41, 513}, {200, 9, 5},   {3, 2100, 2}};
    const int threads[] = {1, 3};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        fnn_set_num_threads(threads[t]);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int layout = 0; layout < 8; layout++)
                for (int dtype = 0; dtype < FNN_DTYPES; dtype++)
                    check_one((fnn_dtype)dtype, sizes[s][0], sizes[s][1], sizes[s][2], layout,
                              layout % 3 ? 1 : 0.75,
                              layout % 4 == 2   ? 0
                              : layout % 4 == 3 ? 1
                                                : -0.5);
        check_one(FNN_F32, 150, 130, 120, 0, 1, 0); /* work for the whole team */
    }
    puts(fnn_isa());
    return 0;
}
