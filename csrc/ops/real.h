/* The variant being compiled: CMake compiles each file of this folder once per instruction set and
 * element type, with FNN_ISA_NAME and FNN_DOUBLE set. */
#ifndef FNN_REAL_H
#define FNN_REAL_H

#include <stdint.h>
#include <string.h>

#include "core/op.h"

#if FNN_DOUBLE
typedef double real;
typedef int64_t real_bits;
typedef uint64_t real_word;
#define FNN_SUFFIX f64
#define REAL(x) x
#else
typedef float real;
typedef int32_t real_bits;
typedef uint32_t real_word;
#define FNN_SUFFIX f32
#define REAL(x) x##f
#endif

/* VARIANT(gemm_run) is gemm_run_avx2_f32 in that variant: every symbol with external linkage in
 * ops/ is named so, or the linker could hand one variant's code to another. */
#define FNN_PASTE_(name, isa, suffix) name##_##isa##_##suffix
#define FNN_PASTE(name, isa, suffix) FNN_PASTE_(name, isa, suffix)
#define VARIANT(name) FNN_PASTE(name, FNN_ISA_NAME, FNN_SUFFIX)

#if defined(__AVX512F__)
#define VBYTES 64
#define REGISTERS 32
#elif defined(__AVX2__)
#define VBYTES 32
#define REGISTERS 16
#elif defined(__aarch64__)
#define VBYTES 16
#define REGISTERS 32
#else
#define VBYTES 16
#define REGISTERS 16
#endif

/* A vector register. May point anywhere: loads and stores through it are unaligned. */
typedef real vec __attribute__((vector_size(VBYTES), aligned(sizeof(real)), may_alias));
enum { LANES = VBYTES / sizeof(real) };

/* a*b + c rounded once where the machine has FMA, twice on the x86-64 baseline. The compiler may
 * fuse any a*b + c (-ffp-contract=fast), and does; this spells out which one where two could fuse.
 */
static inline real fma_real(real a, real b, real c)
{
#if defined(__FMA__) || defined(__aarch64__)
#if FNN_DOUBLE
    return __builtin_fma(a, b, c);
#else
    return __builtin_fmaf(a, b, c);
#endif
#else
    return a * b + c;
#endif
}

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t magnitude(int64_t a)
{
    return a < 0 ? -a : a;
}

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t round_up(int64_t n, int64_t multiple)
{
    return ceil_div(n, multiple) * multiple;
}

/* Elements of a line of the cache. */
enum { LINE = 64 / sizeof(real) };

/* Products of sizes that only steer a decision: too large is as good as the largest. */
static inline int64_t saturating_mul(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

/* A contiguous slice of [0, n). */
typedef struct range {
    int64_t begin, end;
} range;

/* Part `rank` of [0, n) cut in `size` equal parts whose inner borders are multiples of `grain`. */
static inline range split(int64_t n, int64_t grain, int rank, int size)
{
    const int64_t blocks = ceil_div(n, grain);
    return (range){min_i64(n, blocks * rank / size * grain),
                   min_i64(n, blocks * (rank + 1) / size * grain)};
}

/* Elements of a pass over memory that pay for one more member: some 10 us of work. */
enum { SIZE_PER_MEMBER = 65536 };

/* Members for `work` units when one more pays from `per_member` units each. */
static inline int members_for(int64_t work, int64_t per_member, int max_members)
{
    return (int)max_i64(1, min_i64(work / per_member, max_members));
}

#endif
