/* Philox 4x32-10, a counter-based generator: Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
 * as easy as 1, 2, 3", SC'11, section 3.3. */
#ifndef FNN_PHILOX_H
#define FNN_PHILOX_H

#include "ops/vector.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

/* As many counters as a vector has lanes of 64 bits: each lane holds a word of 32 in its lower half,
 * and anything in its upper one. */
typedef uint64_t words __attribute__((vector_size(VBYTES), aligned(8), may_alias));
enum { COUNTERS = VBYTES / 8 };

/* The product of the lower halves. Intrinsics: GCC 12 multiplies 64 by 64 bits, by three
 * instructions on AVX2 and lane by lane on NEON. */
static inline words multiply_words(words a, words b)
{
#if defined(__AVX512F__)
    return (words)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (words)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (words)_mm_mul_epu32((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    return (words)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
    return (a & UINT32_MAX) * (b & UINT32_MAX);
#endif
}

/* What each round adds to the key, and multiplies by: Table 2 of the paper. */
static const uint32_t PHILOX_WEYL[2] = {0x9E3779B9, 0xBB67AE85};
static const uint32_t PHILOX_FACTOR[2] = {0xD2511F53, 0xCD9E8D57};
enum { PHILOX_ROUNDS = 10 };

/* counter[i] becomes word i of the four random words of each lane. */
static inline __attribute__((always_inline)) void philox(words counter[4], uint64_t seed)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const words zero = {0};
    const words factor[2] = {zero + PHILOX_FACTOR[0], zero + PHILOX_FACTOR[1]};
#pragma GCC unroll 10
    for (int i = 0; i < PHILOX_ROUNDS; i++) {
        const words even = multiply_words(counter[0], factor[0]);
        const words odd = multiply_words(counter[2], factor[1]);
        counter[0] = (odd >> 32) ^ counter[1] ^ (uint64_t)key[0];
        counter[1] = odd;
        counter[2] = (even >> 32) ^ counter[3] ^ (uint64_t)key[1];
        counter[3] = even;
        for (int j = 0; j < 2; j++) key[j] += PHILOX_WEYL[j];
    }
}

#endif
