/* What this machine can do at most: multiply-adds that never leave the registers, and copies.
 * Built and called by peak.py, with -DREAL=float or double and -DVBYTES=16, 32 or 64. */

#include <stdint.h>
#include <string.h>

typedef REAL vec __attribute__((vector_size(VBYTES)));

/* An accumulator waits 4 or 5 cycles for itself, so 2 multiply-add units need up to 10 chains and 4
 * units up to 20. CPUs with 16 vector registers have no more than 2 units: 12 chains keep them busy and
 * leave room for the operands. */
#if defined(__AVX512VL__) || defined(__aarch64__)
#define CHAINS 24
#else
#define CHAINS 12
#endif

/* "This register may change here": the compiler can neither merge chains nor drop them, and as memory is
 * not mentioned it need not spill. The constraint names every vector register that the variant has. */
#if defined(__AVX512VL__)
#define OPAQUE(v) __asm__ volatile("" : "+v"(v))
#elif defined(__x86_64__)
#define OPAQUE(v) __asm__ volatile("" : "+x"(v))
#elif defined(__aarch64__)
#define OPAQUE(v) __asm__ volatile("" : "+w"(v))
#else
#error "no register constraint known for this CPU"
#endif

#define STEP(v)                                                                                    \
    v = v * a + b;                                                                                 \
    OPAQUE(v)
#define STEP6(v0, v1, v2, v3, v4, v5)                                                              \
    STEP(v0);                                                                                      \
    STEP(v1);                                                                                      \
    STEP(v2);                                                                                      \
    STEP(v3);                                                                                      \
    STEP(v4);                                                                                      \
    STEP(v5)

/* Run `rounds` rounds of one multiply-add per chain; return the number of floating-point operations.
 * The accumulators are named, not an array: GCC 12 keeps an array that OPAQUE touches on the stack. */
double run_fma(int64_t rounds)
{
    vec a = (vec){0} + (REAL)0.5,
        b = (vec){0} + (REAL)1; /* v tends to 2: no overflow, no denormals */
    OPAQUE(a);
    OPAQUE(b);
    vec a0 = b, a1 = b, a2 = b, a3 = b, a4 = b, a5 = b, b0 = b, b1 = b, b2 = b, b3 = b, b4 = b,
        b5 = b;
#if CHAINS == 24
    vec c0 = b, c1 = b, c2 = b, c3 = b, c4 = b, c5 = b, d0 = b, d1 = b, d2 = b, d3 = b, d4 = b,
        d5 = b;
#endif
    for (int64_t r = 0; r < rounds; r++) {
        STEP6(a0, a1, a2, a3, a4, a5);
        STEP6(b0, b1, b2, b3, b4, b5);
#if CHAINS == 24
        STEP6(c0, c1, c2, c3, c4, c5);
        STEP6(d0, d1, d2, d3, d4, d5);
#endif
    }
    return 2.0 * CHAINS * (VBYTES / sizeof(REAL)) * (double)rounds;
}

/* Copy `bytes` bytes `rounds` times; return the number of bytes read and written. */
double run_copy(void *restrict to, const void *restrict from, int64_t bytes, int64_t rounds)
{
    for (int64_t r = 0; r < rounds; r++) {
        memcpy(to, from, (size_t)bytes);
        __asm__ volatile("" : : "r"(to), "r"(from) : "memory");
    }
    return 2.0 * (double)bytes * (double)rounds;
}
