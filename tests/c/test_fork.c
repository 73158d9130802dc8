/* A forked child has no workers at first and makes its own; the parent's go on. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { SIZE = 160, ROUNDS = 20 };

static float a[SIZE * SIZE], expected[SIZE * SIZE];

static void multiply(float *out)
{
    const fnn_gemm_args args = {.M = SIZE,
                                .N = SIZE,
                                .K = SIZE,
                                .a = a,
                                .a_rs = SIZE,
                                .a_cs = 1,
                                .b = a,
                                .b_rs = SIZE,
                                .b_cs = 1,
                                .out = out,
                                .out_rs = SIZE,
                                .out_cs = 1,
                                .alpha = 1};
    CHECK(fnn_gemm(FNN_F32, &args) == FNN_OK, "no memory");
}

static void check_product(void)
{
    static float out[SIZE * SIZE];
    multiply(out);
    CHECK(memcmp(out, expected, sizeof out) == 0, "another product after fork");
}

int main(void)
{
    uint64_t seed = 3;
    for (int i = 0; i < SIZE * SIZE; i++) a[i] = (float)next_random(&seed);
    CHECK(fnn_initialize() == NULL, "%s", fnn_initialize());
    fnn_set_num_threads(3);
    multiply(expected);
    for (int i = 0; i < ROUNDS; i++) {
        const pid_t child = fork();
        CHECK(child >= 0, "fork");
        if (child == 0) {
            alarm(20); /* a hang is a failure */
            check_product();
            _exit(0);
        }
        check_product();
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0, "child ended with %d", status);
    }
    return 0;
}
