/* Dropout: Srivastava et al. 2014, with the scale at training time. Whether an element is kept
 * depends on its number alone, so backward draws the same again and no mask is stored. */
#include "ops/philox.h"

/* Random words are made by blocks that stay in L1: a whole number of vectors of counters. */
enum { BLOCK_COUNTERS = 128, BLOCK_WORDS = 4 * BLOCK_COUNTERS };

/* to[4 i + j] = word j of counter first + i. */
static void random_words(uint64_t first, uint64_t seed, uint32_t *to)
{
    for (int i = 0; i < BLOCK_COUNTERS; i += COUNTERS) {
        words number;
        for (int lane = 0; lane < COUNTERS; lane++) number[lane] = first + (uint64_t)(i + lane);
        words at[4] = {number, number >> 32, {0}, {0}};
        philox(at, seed);
        /* Two words of 32 side by side, then the pairs of each counter. */
        const words low = (at[0] & UINT32_MAX) | at[1] << 32;
        const words high = (at[2] & UINT32_MAX) | at[3] << 32;
        for (int lane = 0; lane < COUNTERS; lane++) {
            memcpy(to + 4 * (i + lane), (const uint64_t *)&low + lane, 8);
            memcpy(to + 4 * (i + lane) + 2, (const uint64_t *)&high + lane, 8);
        }
    }
}

static void drop(const uint32_t *restrict random, const real *x, real *out, int64_t n,
                 uint32_t threshold, real scale)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) {
        const real kept = x[i] * scale;
        out[i] = random[i] < threshold ? 0 : kept;
    }
}

fnn_plan VARIANT(dropout_plan)(const void *args, int max_members)
{
    const fnn_dropout_args *a = args;
    /* A random word costs several times a copy. */
    return (fnn_plan){members_for(a->size, SIZE_PER_MEMBER / 4, max_members), 0};
}

void VARIANT(dropout_run)(const void *args, const fnn_team *team)
{
    const fnn_dropout_args *a = args;
    const range own = split(a->size, BLOCK_WORDS, team->rank, team->size);
    const uint64_t seed = a->seed_at ? *a->seed_at : a->seed;
    const uint64_t offset = a->offset_at ? *a->offset_at : a->offset;
    uint32_t random[BLOCK_WORDS];
    for (int64_t i = own.begin; i < own.end;) {
        const uint64_t number = offset + (uint64_t)i;
        const int64_t skip = (int64_t)(number % 4), n = min_i64(BLOCK_WORDS - skip, own.end - i);
        random_words(number / 4, seed, random);
        drop(random + skip, (const real *)a->x + i, (real *)a->out + i, n, a->threshold,
             (real)a->scale);
        i += n;
    }
}
