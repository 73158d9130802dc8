/* Vectors beyond what C's operators do: their first lanes alone, and transposition. */
#ifndef FNN_VECTOR_H
#define FNN_VECTOR_H

#include "ops/real.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* As many integers as a vec has reals, as wide: what comparing two vectors gives, 0 or -1. */
typedef real_bits vec_bits __attribute__((vector_size(VBYTES)));

/* A sixteenth byte boundary is what x86 shuffles do not cross: a vec is VBYTES / 16 quads. */
typedef real quad __attribute__((vector_size(16), aligned(sizeof(real)), may_alias));
enum { QUAD = 16 / sizeof(real) };

/* The two steps of a product. As assembly on x86-64, in this order: GCC 12 otherwise puts sums
 * where factors were and moves them back, or loads ahead until registers run out; an unrolled 6x16
 * f32 loop on AVX2 loses 10 to 20 % to that (bench/gemm_tuning.md). */
#if FNN_DOUBLE
#define PACKED_SUFFIX "d"
#else
#define PACKED_SUFFIX "s"
#endif
#if defined(__AVX512F__)
#define ANY_VECTOR "v"
#else
#define ANY_VECTOR "x"
#endif

/* *from in every lane. */
static inline __attribute__((always_inline)) vec broadcast(const real *from)
{
#if defined(__AVX2__)
    vec v;
    __asm__ volatile("vbroadcasts" PACKED_SUFFIX " %1, %0" : "=" ANY_VECTOR(v) : "m"(*from));
    return v;
#else
    return *from - (vec){0};
#endif
}

/* *acc += a * b, rounded once where the machine has FMA. */
static inline __attribute__((always_inline)) void add_product(vec *acc, vec a, vec b)
{
#if defined(__FMA__)
    __asm__ volatile("vfmadd231p" PACKED_SUFFIX " %2, %1, %0"
                     : "+" ANY_VECTOR(*acc)
                     : ANY_VECTOR(a), ANY_VECTOR(b));
#else
    *acc += a * b;
#endif
}

/* ---- the first lanes of a vector -------------------------------------------------------------
 *
 * Neither GCC nor Clang has an operator for a load that touches only some lanes, and a load of all
 * may fault, so here are intrinsics. Stores on AVX2 go by halves: Zen takes 12 cycles and more for
 * a vmaskmovps to memory. */

typedef struct lanes {
    int n; /* 1 .. LANES */
#if defined(__AVX512F__) && FNN_DOUBLE
    __mmask8 mask;
#elif defined(__AVX512F__)
    __mmask16 mask;
#elif defined(__AVX2__)
    __m256i mask;
#endif
} lanes;

static inline lanes first_lanes(int64_t n)
{
    lanes l = {.n = (int)n};
#if defined(__AVX512F__)
    l.mask = (__typeof__(l.mask))((1u << n) - 1);
#elif defined(__AVX2__) && FNN_DOUBLE
    l.mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
#elif defined(__AVX2__)
    l.mask =
        _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#endif
    return l;
}

/* The other lanes are 0. */
static inline vec load_first(const real *from, lanes l)
{
#if defined(__AVX512F__) && FNN_DOUBLE
    return (vec)_mm512_maskz_loadu_pd(l.mask, from);
#elif defined(__AVX512F__)
    return (vec)_mm512_maskz_loadu_ps(l.mask, from);
#elif defined(__AVX2__) && FNN_DOUBLE
    return (vec)_mm256_maskload_pd(from, l.mask);
#elif defined(__AVX2__)
    return (vec)_mm256_maskload_ps(from, l.mask);
#else
    if (l.n == LANES) return *(const vec *)from;
    vec v = {from[0]};
    for (int i = 1; i < LANES - 1; i++)
        if (i < l.n) v[i] = from[i];
    return v;
#endif
}

static inline void store_first(real *to, lanes l, vec v)
{
#if defined(__AVX512F__) && FNN_DOUBLE
    _mm512_mask_storeu_pd(to, l.mask, (__m512d)v);
#elif defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, l.mask, (__m512)v);
#else
    if (l.n == LANES) {
        *(vec *)to = v;
        return;
    }
#if VBYTES == 32
    quad part = *(const quad *)&v;
    if (l.n >= QUAD) {
        *(quad *)to = part;
        to += QUAD;
        part = *((const quad *)&v + 1);
    }
    const int rest = l.n & (QUAD - 1);
#else
    const vec part = v;
    const int rest = l.n;
#endif
    if (rest > 0) to[0] = part[0];
#if !FNN_DOUBLE
    if (rest > 1) to[1] = part[1];
    if (rest > 2) to[2] = part[2];
#endif
#endif
}

/* ---- stores past the caches ------------------------------------------------------------------
 *
 * By quads, which is how NumPy aligns arrays. `to` is aligned to 16 bytes. Whoever stores so calls
 * stream_end before others may read it. */

static inline void stream(real *to, vec v)
{
#if defined(__AVX2__)
    for (int i = 0; i < LANES; i += QUAD)
        _mm_stream_ps((float *)(to + i), (__m128) * (const quad *)((const real *)&v + i));
#else
    *(vec *)to = v;
#endif
}

static inline void stream_end(void)
{
#if defined(__AVX2__)
    _mm_sfence();
#endif
}

/* ---- bytes -----------------------------------------------------------------------------------
 *
 * Intrinsics: of __builtin_convertvector GCC 12 makes an extraction and an insertion per lane on
 * AVX2, with which max pooling takes 1.2 to 2.1 times as long
 * (f32, 2x2, forward and backward). */

typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

/* to[i] = v[i], each from 0 to 255. */
static inline void store_bytes(uint8_t *to, vec_bits v)
{
#if defined(__AVX512F__) && FNN_DOUBLE
    _mm_storel_epi64((__m128i *)to, _mm512_cvtepi64_epi8((__m512i)v));
#elif defined(__AVX512F__)
    _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8((__m512i)v));
#elif defined(__AVX2__) && FNN_DOUBLE
    const __m128i low = _mm256_castsi256_si128((__m256i)v);
    const __m128i high = _mm256_extracti128_si256((__m256i)v, 1);
    const __m128i words = _mm_packus_epi32(_mm_packus_epi32(low, high), _mm_setzero_si128());
    _mm_storeu_si32(to, _mm_packus_epi16(words, words));
#elif defined(__AVX2__)
    const __m128i low = _mm256_castsi256_si128((__m256i)v);
    const __m128i high = _mm256_extracti128_si256((__m256i)v, 1);
    const __m128i words = _mm_packus_epi32(low, high);
    _mm_storel_epi64((__m128i *)to, _mm_packus_epi16(words, words));
#else
    *(bytes *)to = __builtin_convertvector(v, bytes);
#endif
}

static inline vec_bits load_bytes(const uint8_t *from)
{
#if defined(__AVX512F__) && FNN_DOUBLE
    return (vec_bits)_mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)from));
#elif defined(__AVX512F__)
    return (vec_bits)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
#elif defined(__AVX2__) && FNN_DOUBLE
    return (vec_bits)_mm256_cvtepu8_epi64(_mm_loadu_si32(from));
#elif defined(__AVX2__)
    return (vec_bits)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from));
#else
    return __builtin_convertvector(*(const bytes *)from, vec_bits);
#endif
}

/* ---- transposition ---------------------------------------------------------------------------
 *
 * Only by what every machine does in one instruction: quads side by side (the load can do it), and
 * the lower or upper halves of two vectors' quads interleaved. */

#define ZIP_LOW_4(b) b, b + LANES, b + 1, b + LANES + 1
#define ZIP_HIGH_4(b) b + 2, b + LANES + 2, b + 3, b + LANES + 3
#define ZIP_LOW_2(b) b, b + LANES_2
#define ZIP_HIGH_2(b) b + 1, b + LANES_2 + 1

#if VBYTES == 64
#define EACH_4(f) f(0), f(4), f(8), f(12)
#define EACH_2(f) f(0), f(2), f(4), f(6)
#elif VBYTES == 32
#define EACH_4(f) f(0), f(4)
#define EACH_2(f) f(0), f(2)
#else
#define EACH_4(f) f(0)
#define EACH_2(f) f(0)
#endif

enum { LANES_2 = VBYTES / 8 };
typedef double pairs __attribute__((vector_size(VBYTES)));

/* t[j] = r[0][j], r[1][j], ... within each quad. */
static inline void transpose_quads(const vec r[QUAD], vec t[QUAD])
{
#if FNN_DOUBLE
    t[0] = __builtin_shufflevector(r[0], r[1], EACH_2(ZIP_LOW_2));
    t[1] = __builtin_shufflevector(r[0], r[1], EACH_2(ZIP_HIGH_2));
#else
    const pairs a = (pairs)__builtin_shufflevector(r[0], r[1], EACH_4(ZIP_LOW_4));
    const pairs b = (pairs)__builtin_shufflevector(r[2], r[3], EACH_4(ZIP_LOW_4));
    const pairs c = (pairs)__builtin_shufflevector(r[0], r[1], EACH_4(ZIP_HIGH_4));
    const pairs d = (pairs)__builtin_shufflevector(r[2], r[3], EACH_4(ZIP_HIGH_4));
    t[0] = (vec)__builtin_shufflevector(a, b, EACH_2(ZIP_LOW_2));
    t[1] = (vec)__builtin_shufflevector(a, b, EACH_2(ZIP_HIGH_2));
    t[2] = (vec)__builtin_shufflevector(c, d, EACH_2(ZIP_LOW_2));
    t[3] = (vec)__builtin_shufflevector(c, d, EACH_2(ZIP_HIGH_2));
#endif
}

/* The quads at row[0] + k, row[QUAD] + k, ... side by side. Intrinsics: of the same in GCC's
 * shuffles GCC 12 makes twice the instructions. */
static inline vec join_quads(const real *const row[], int64_t k)
{
#if VBYTES == 16
    return *(const vec *)(row[0] + k);
#else
    const __m256d low =
        _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd((const double *)(row[0] + k))),
                             _mm_loadu_pd((const double *)(row[QUAD] + k)), 1);
#if VBYTES == 32
    return (vec)low;
#else
    const __m256d high = _mm256_insertf128_pd(
        _mm256_castpd128_pd256(_mm_loadu_pd((const double *)(row[2 * QUAD] + k))),
        _mm_loadu_pd((const double *)(row[3 * QUAD] + k)), 1);
    return (vec)_mm512_insertf64x4(_mm512_castpd256_pd512(low), high, 1);
#endif
#endif
}

/* from[0], from[stride], and so on. */
static inline quad load_strided(const real *from, int64_t stride)
{
#if FNN_DOUBLE
    return (quad){from[0], from[stride]};
#else
    return (quad){from[0], from[stride], from[2 * stride], from[3 * stride]};
#endif
}

/* t[j][i] = from[i * stride + j]: LANES rows, QUAD columns. */
static inline void load_transposed(const real *from, int64_t stride, vec t[QUAD])
{
    vec r[QUAD];
#pragma GCC unroll 4
    for (int i = 0; i < QUAD; i++) {
        const real *row[LANES];
#pragma GCC unroll 4
        for (int q = 0; q < LANES; q += QUAD) row[q] = from + (i + q) * stride;
        r[i] = join_quads(row, 0);
    }
    transpose_quads(r, t);
}

#endif
