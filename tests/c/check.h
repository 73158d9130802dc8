/* A test is a program that returns 0, or 1 with what went wrong on stderr; 77 says it does not
 * apply. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastnn.h"

enum { SKIPPED = 77 };

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Ends the program as skipped where FASTNN_ISA names a level that is not to be had here. */
static inline void require_isa(void)
{
    const char *error = fnn_initialize();
    if (!error) return;
    fprintf(stderr, "%s\n", error);
    exit(SKIPPED);
}

/* Uniform in [-1, 1), the same on every machine. */
static inline double next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(*state >> 11) / (double)((int64_t)1 << 52) - 1;
}

/* `size` random floats or doubles. */
static inline void *random_array(fnn_dtype dtype, int64_t size, uint64_t *state)
{
    const size_t width = dtype == FNN_F64 ? sizeof(double) : sizeof(float);
    void *array = malloc(((size_t)size + 1) * width);
    CHECK(array, "no memory");
    for (int64_t i = 0; i < size; i++) {
        if (dtype == FNN_F64) ((double *)array)[i] = next_random(state);
        else ((float *)array)[i] = (float)next_random(state);
    }
    return array;
}

static inline double get(fnn_dtype dtype, const void *array, int64_t i)
{
    return dtype == FNN_F64 ? ((const double *)array)[i] : ((const float *)array)[i];
}

/* One step of the chain that products are specified by: fma, or two roundings on the baseline. */
static inline double chain(fnn_dtype dtype, double a, double b, double acc)
{
    const int fused = strcmp(fnn_isa(), "baseline") != 0;
    if (dtype == FNN_F64) {
        if (fused) return __builtin_fma(a, b, acc);
        const volatile double product = a * b;
        return product + acc;
    }
    if (fused) return __builtin_fmaf((float)a, (float)b, (float)acc);
    const volatile float product = (float)a * (float)b;
    return (float)(product + (float)acc);
}

#endif
