/* gemm, pack and matmul equal the loop that specifies them, bit for bit, at any blocking, stride
 * and team. */
#include "check.h"

static uint64_t seed = 1;

/* What an argument set differs in, besides sizes: bits of `options`. */
enum {
    TRANS_A = 1,
    TRANS_B = 2,
    BY_COLUMNS = 4, /* out and c */
    SCATTERED = 8,  /* no axis of out and c is contiguous */
    RELU = 16,
    ROW_BIAS = 32, /* one number per row */
    MASK = 64,
    MASK_OUT = 128,
    PACKED_B = 256,
    STRIDED = 512,   /* no axis of a or b is contiguous */
    REVERSED = 1024, /* all strides of a and b are negative */
};

typedef struct scalars {
    double alpha, beta;
} scalars;

static size_t width(fnn_dtype dtype)
{
    return dtype == FNN_F64 ? sizeof(double) : sizeof(float);
}

static double rounded(fnn_dtype dtype, double x)
{
    return dtype == FNN_F32 ? (float)x : x;
}

/* Strides of a (rows, cols) operand, with gaps; it fits in 2 (rows + 3) (cols + 3) elements. */
static void strides(int transposed, int scattered, int64_t rows, int64_t cols, int64_t *rs,
                    int64_t *cs)
{
    const int64_t step = scattered ? 2 : 1;
    *rs = transposed ? step : step * (cols + 2);
    *cs = transposed ? step * (rows + 1) : step;
}

/* Lets a (rows, cols) matrix begin at its end. */
static void reverse(fnn_dtype dtype, const void **from, int64_t rows, int64_t cols, int64_t *rs,
                    int64_t *cs)
{
    if (rows == 0 || cols == 0) return;
    *from = (const char *)*from + (size_t)((rows - 1) * *rs + (cols - 1) * *cs) * width(dtype);
    *rs = -*rs;
    *cs = -*cs;
}

static void *operand(fnn_dtype dtype, int64_t rows, int64_t cols)
{
    return random_array(dtype, 2 * (rows + 3) * (cols + 3), &seed);
}

/* An aligned copy of b as fnn_pack lays it out; what to free goes to *memory. */
static void *packed(fnn_dtype dtype, const fnn_gemm_args *g, void **memory)
{
    const size_t size = fnn_packed_size(dtype, g->K, g->N);
    *memory = malloc(size + 64);
    CHECK(*memory, "no memory");
    void *to = (void *)(((uintptr_t)*memory + 63) & ~(uintptr_t)63);
    const fnn_pack_args p = {g->K, g->N, g->b, g->b_rs, g->b_cs, to};
    CHECK(fnn_pack(dtype, &p) == FNN_OK, "no memory");
    return to;
}

/* Element (i, j) before the masks. */
static double element(fnn_dtype dtype, const fnn_gemm_args *g, const void *c, int64_t i, int64_t j)
{
    double acc = 0;
    if (g->beta != 0) acc = rounded(dtype, g->beta * get(dtype, c, i * g->c_rs + j * g->c_cs));
    for (int64_t k = 0; k < g->K; k++) {
        const double a = rounded(dtype, g->alpha * get(dtype, g->a, i * g->a_rs + k * g->a_cs));
        acc = chain(dtype, a, get(dtype, g->b, k * g->b_rs + j * g->b_cs), acc);
    }
    if (g->bias) acc = rounded(dtype, acc + get(dtype, g->bias, i * g->bias_rs + j * g->bias_cs));
    return g->activation == FNN_RELU && acc <= 0 ? 0 : acc;
}

/* Rows `row_step` apart and the last are compared: the others cost time. */
static void check_one(fnn_dtype dtype, int64_t M, int64_t N, int64_t K, int options, scalars s,
                      int64_t row_step)
{
    fnn_gemm_args g = {.M = M, .N = N, .K = K, .alpha = s.alpha, .beta = s.beta};
    g.activation = options & (RELU | MASK_OUT) ? FNN_RELU : FNN_IDENTITY;
    strides(options & TRANS_A, options & STRIDED, M, K, &g.a_rs, &g.a_cs);
    strides(options & TRANS_B, options & STRIDED, K, N, &g.b_rs, &g.b_cs);
    strides(options & BY_COLUMNS, options & SCATTERED, M, N, &g.out_rs, &g.out_cs);
    g.c_rs = g.out_rs;
    g.c_cs = g.out_cs;
    const size_t out_bytes = (size_t)(2 * (M + 3) * (N + 3)) * width(dtype);
    void *a = operand(dtype, M, K), *b = operand(dtype, K, N), *out = operand(dtype, M, N);
    void *bias = random_array(dtype, M + N, &seed), *c = malloc(out_bytes);
    uint8_t *mask = malloc((size_t)(M * N) + 1), *mask_out = malloc((size_t)(M * N) + 1);
    CHECK(c && mask && mask_out, "no memory");
    memcpy(c, out, out_bytes);
    for (int64_t i = 0; i < M * N; i++) mask[i] = next_random(&seed) < 0;
    memset(mask_out, 77, (size_t)(M * N) + 1);
    g.a = a;
    g.b = b;
    if (options & REVERSED) {
        reverse(dtype, &g.a, M, K, &g.a_rs, &g.a_cs);
        reverse(dtype, &g.b, K, N, &g.b_rs, &g.b_cs);
    }
    g.c = g.out = out;
    g.bias = bias;
    if (options & ROW_BIAS) g.bias_rs = 1;
    else g.bias_cs = 1;
    if (options & MASK) g.mask = mask;
    if (options & MASK_OUT) g.mask_out = mask_out;

    fnn_gemm_args given = g;
    void *memory = NULL;
    if (options & PACKED_B) {
        given.b = packed(dtype, &g, &memory);
        given.b_packed = true;
        given.b_rs = given.b_cs = INT64_MIN / 8;
    }
    CHECK(fnn_gemm(dtype, &given) == FNN_OK, "no memory");

    for (int64_t i = 0; i < M; i++) {
        if (i % row_step != 0 && i != M - 1) continue;
        for (int64_t j = 0; j < N; j++) {
            double want = element(dtype, &g, c, i, j);
            if (options & MASK_OUT)
                CHECK(mask_out[i * N + j] == (want != 0), "mask_out %d at (%d, %d)",
                      mask_out[i * N + j], (int)i, (int)j);
            if (options & MASK && !mask[i * N + j]) want = 0;
            const double got = get(dtype, out, i * g.out_rs + j * g.out_cs);
            CHECK(got == want,
                  "%dx%dx%d options %d dtype %d threads %d at (%d, %d): %.17g, not %.17g", (int)M,
                  (int)N, (int)K, options, dtype, fnn_num_threads(), (int)i, (int)j, got, want);
        }
    }
    CHECK(mask_out[M * N] == 77, "written behind mask_out");
    /* What is not an element of out is as it was. */
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            const size_t at = (size_t)(i * g.out_rs + j * g.out_cs) * width(dtype);
            memset((char *)out + at, 0, width(dtype));
            memset((char *)c + at, 0, width(dtype));
        }
    CHECK(memcmp(out, c, out_bytes) == 0, "%dx%dx%d options %d: written between rows", (int)M,
          (int)N, (int)K, options);
    free(a);
    free(b);
    free(c);
    free(bias);
    free(out);
    free(mask);
    free(mask_out);
    free(memory);
}

/* Two batch axes, and how many elements its matrices are apart in a and b; 0 uses one again. */
typedef struct batch {
    int64_t shape[2], a[2], b[2];
} batch;

static void check_batch(fnn_dtype dtype, int64_t M, int64_t N, int64_t K, int trans_b, batch s)
{
    const int64_t outer = s.shape[0], inner = s.shape[1], a_size = M * K + 1, b_size = K * N + 2,
                  out_size = M * N + 3;
    fnn_matmul_args m = {.dims = 2};
    fnn_gemm_args *g = &m.product;
    *g = (fnn_gemm_args){.M = M, .N = N, .K = K, .alpha = 1, .a_rs = K, .a_cs = 1};
    g->b_rs = trans_b ? 1 : N;
    g->b_cs = trans_b ? K : 1;
    g->out_rs = N;
    g->out_cs = 1;
    for (int d = 0; d < 2; d++) {
        m.shape[d] = s.shape[d];
        m.a_strides[d] = s.a[d] * a_size;
        m.b_strides[d] = s.b[d] * b_size;
    }
    m.out_strides[0] = out_size; /* the first axis is the inner one in memory */
    m.out_strides[1] = out_size * outer;
    const int64_t matrices = outer * inner * 3;
    void *a = random_array(dtype, matrices * a_size, &seed);
    void *b = random_array(dtype, matrices * b_size, &seed);
    void *out = random_array(dtype, matrices * out_size, &seed);
    g->a = a;
    g->b = b;
    g->out = out;
    CHECK(fnn_matmul(dtype, &m) == FNN_OK, "no memory");
    for (int64_t x = 0; x < outer; x++)
        for (int64_t y = 0; y < inner; y++) {
            fnn_gemm_args one = *g;
            one.a =
                (const char *)a + (size_t)(x * m.a_strides[0] + y * m.a_strides[1]) * width(dtype);
            one.b =
                (const char *)b + (size_t)(x * m.b_strides[0] + y * m.b_strides[1]) * width(dtype);
            const int64_t first = x * m.out_strides[0] + y * m.out_strides[1];
            for (int64_t i = 0; i < M; i++)
                for (int64_t j = 0; j < N; j++) {
                    const double got = get(dtype, out, first + i * N + j);
                    CHECK(got == element(dtype, &one, NULL, i, j),
                          "%dx%d of %dx%dx%d dtype %d threads %d at (%d, %d, %d, %d): %.17g",
                          (int)outer, (int)inner, (int)M, (int)N, (int)K, dtype, fnn_num_threads(),
                          (int)x, (int)y, (int)i, (int)j, got);
                }
        }
    free(a);
    free(b);
    free(out);
}

/* A batch without axes is one product. */
static void check_no_axes(fnn_dtype dtype)
{
    enum { N = 4 };
    void *a = random_array(dtype, N * N, &seed), *b = random_array(dtype, N * N, &seed);
    void *out = random_array(dtype, N * N, &seed);
    fnn_matmul_args m = {.product = {.M = N, .N = N, .K = N, .alpha = 1, .a = a, .b = b}};
    fnn_gemm_args *g = &m.product;
    g->out = out;
    g->a_rs = g->b_rs = g->out_rs = N;
    g->a_cs = g->b_cs = g->out_cs = 1;
    CHECK(fnn_matmul(dtype, &m) == FNN_OK, "no memory");
    for (int64_t i = 0; i < N * N; i++)
        CHECK(get(dtype, out, i) == element(dtype, g, NULL, i / N, i % N), "element %d", (int)i);
    free(a);
    free(b);
    free(out);
}

static void check_batches(fnn_dtype dtype)
{
    check_no_axes(dtype);
    const batch batches[] = {
        {{3, 4}, {4, 1}, {4, 1}}, {{3, 4}, {4, 1}, {0, 0}}, {{3, 4}, {0, 1}, {1, 0}},
        {{3, 4}, {1, 3}, {0, 2}}, {{1, 1}, {0, 0}, {0, 0}}, {{2, 1}, {1, 9}, {0, 0}},
    };
    for (int trans_b = 0; trans_b < 2; trans_b++) {
        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
            check_batch(dtype, 1, 9, 4, trans_b, batches[i]);
            check_batch(dtype, 5, 1, 7, trans_b, batches[i]);
            check_batch(dtype, 3, 17, 0, trans_b, batches[i]);
            check_batch(dtype, 7, 33, 19, trans_b, batches[i]);
        }
        check_batch(dtype, 30, 33, 40, trans_b, batches[0]); /* shared out by several members */
        /* Strips of up to 8 vectors, and blocks of rows in them. */
        for (int64_t N = 2; N < 36; N += N < 10 ? 1 : 5)
            for (int64_t M = 1; M < 8; M++) check_batch(dtype, M, N, 3, trans_b, batches[0]);
        for (int64_t N = 47; N < 150; N += 17) check_batch(dtype, 1, N, 3, trans_b, batches[0]);
    }
}

/* Around tiles of 6 and 12 rows, vectors of 2 to 16, blocks of 128, 256, 512 of K and of N. */
static void check_sizes(fnn_dtype dtype)
{
    static const scalars plain = {1, 0}, scaled = {0.75, -0.5}, added = {1, 1};
    const int layouts[] = {0,        TRANS_B,
                           TRANS_A,  TRANS_A | TRANS_B,
                           STRIDED,  STRIDED | TRANS_A | TRANS_B,
                           REVERSED, REVERSED | TRANS_A | TRANS_B,
                           PACKED_B};
    const int finishes[] = {0,
                            RELU,
                            ROW_BIAS | BY_COLUMNS,
                            MASK,
                            RELU | MASK_OUT,
                            BY_COLUMNS,
                            SCATTERED | ROW_BIAS,
                            MASK | MASK_OUT | SCATTERED};
    enum {
        LAYOUTS = sizeof layouts / sizeof *layouts,
        FINISHES = sizeof finishes / sizeof *finishes
    };
    /* Every height by widths around vectors and tiles, one K that is no multiple of four. */
    const int64_t heights[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 23, 25};
    const int64_t widths[] = {1, 2, 4, 7, 8, 9, 16, 17, 31, 33, 64, 65, 129};
    int turn = 0;
    for (size_t m = 0; m < sizeof heights / sizeof *heights; m++)
        for (size_t n = 0; n < sizeof widths / sizeof *widths; n++)
            for (int layout = 0; layout < LAYOUTS; layout++, turn++)
                check_one(dtype, heights[m], widths[n], 6,
                          layouts[layout] | finishes[turn % FINISHES],
                          turn % 3 == 0   ? plain
                          : turn % 3 == 1 ? added
                                          : scaled,
                          1);
    /* Blocks, each in every layout; of tall outputs a few rows are compared. */
    const int64_t sizes[][3] = {
        {1, 5, 0},    {5, 7, 3},    {7, 9, 64},   {13, 33, 129}, {24, 16, 257}, {4, 70, 131},
        {3, 35, 513}, {7, 41, 513}, {1, 515, 5},  {2, 257, 9},   {7, 259, 5},   {13, 513, 3},
        {26, 130, 2}, {200, 9, 5},  {97, 40, 33}, {73, 17, 65},  {3, 1040, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int layout = 0; layout < LAYOUTS; layout++, turn++)
            check_one(dtype, sizes[i][0], sizes[i][1], sizes[i][2],
                      layouts[layout] | finishes[turn % FINISHES],
                      turn % 3 == 0   ? plain
                      : turn % 3 == 1 ? added
                                      : scaled,
                      sizes[i][0] > 24 ? 7 : 1);
    /* a by columns, in few sets of a cache: a_cs is 1024. */
    check_one(dtype, 1023, 3, 20, TRANS_A, plain, 61);
    check_one(dtype, 1023, 40, 5, TRANS_A, plain, 61);
    check_one(dtype, 1060, 2, 260, STRIDED, scaled, 97); /* more than one block of rows */
}

int main(void)
{
    require_isa();
    const int threads[] = {1, 3};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        fnn_set_num_threads(threads[t]);
        for (int dtype = 0; dtype < FNN_DTYPES; dtype++) {
            check_sizes((fnn_dtype)dtype);
            check_batches((fnn_dtype)dtype);
        }
        /* work for the whole team */
        check_one(FNN_F32, 150, 130, 120, ROW_BIAS, (scalars){1, 0}, 4);
        check_one(FNN_F32, 150, 130, 120, TRANS_B | PACKED_B | MASK_OUT | RELU, (scalars){1, 1}, 4);
        check_one(FNN_F64, 40, 530, 70, MASK | PACKED_B, (scalars){0.5, 0}, 4);
    }
    puts(fnn_isa());
    return 0;
}
