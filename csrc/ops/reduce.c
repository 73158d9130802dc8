#include "ops/reduce.h"

#include "ops/vector.h"

/* A vector type of 16 elements would do for the strands, but GCC 12 takes those apart that are wider
 * than a register, one element at a time where they are compared: on AVX2 ten times as long. */
enum { STRAND_VECS = STRANDS / LANES };

real strand_sum(const real *x, int64_t n)
{
    vec sums[STRAND_VECS] = {0};
    int64_t i = 0;
    for (; i + STRANDS <= n; i += STRANDS)
        for (int v = 0; v < STRAND_VECS; v++) sums[v] += *(const vec *)(x + i + v * LANES);
    real each[STRANDS];
    memcpy(each, sums, sizeof each);
    for (int64_t s = 0; i + s < n; s++) each[s] += x[i + s];
    return add_strands(each);
}

real strand_dot(const real *x, const real *y, int64_t n)
{
    vec sums[STRAND_VECS] = {0};
    int64_t i = 0;
    for (; i + STRANDS <= n; i += STRANDS)
        for (int v = 0; v < STRAND_VECS; v++)
            sums[v] += *(const vec *)(x + i + v * LANES) * *(const vec *)(y + i + v * LANES);
    real each[STRANDS];
    memcpy(each, sums, sizeof each);
    for (int64_t s = 0; i + s < n; s++) each[s] = fma_real(x[i + s], y[i + s], each[s]);
    return add_strands(each);
}

double strand_sum_in_double(const real *x, int64_t n)
{
    double sums[STRANDS] = {0};
    int64_t i = 0;
    for (; i + STRANDS <= n; i += STRANDS)
        for (int s = 0; s < STRANDS; s++) sums[s] += (double)x[i + s];
    for (int64_t s = 0; i + s < n; s++) sums[s] += (double)x[i + s];
    double sum = 0;
    for (int s = 0; s < STRANDS; s++) sum += sums[s];
    return sum;
}

/* a > b ? a : b. Intrinsics: of a comparison and a selection GCC 12 makes four instructions on AVX2,
 * with which the largest of 1000 in L1 takes 1.6 times as long (f32). */
static inline vec larger(vec a, vec b)
{
#if defined(__AVX512F__) && FNN_DOUBLE
    return (vec)_mm512_max_pd((__m512d)a, (__m512d)b);
#elif defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__) && FNN_DOUBLE
    return (vec)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif defined(__AVX2__)
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    const vec_bits which = a > b;
    return (vec)((which & (vec_bits)a) | (~which & (vec_bits)b));
#endif
}

/* In twice as many strands, as the order does not matter. */
real strand_max(const real *x, int64_t n)
{
    enum { VECS = 2 * STRAND_VECS, STEP = 2 * STRANDS };
    real max = x[0];
    int64_t i = 0;
    if (n >= STEP) {
        vec most[VECS];
        memcpy(most, x, sizeof most);
        for (i = STEP; i + STEP <= n; i += STEP)
            for (int v = 0; v < VECS; v++)
                most[v] = larger(*(const vec *)(x + i + v * LANES), most[v]);
        for (int v = 1; v < VECS; v++) most[0] = larger(most[v], most[0]);
        for (int s = 0; s < LANES; s++) max = most[0][s] > max ? most[0][s] : max;
    }
    for (; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}
