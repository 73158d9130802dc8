#include "core/dispatch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "core/team.h"

/* One table per variant, made by ops/table.c. */
#define FNN_ISA(name)                                                                              \
    extern const fnn_op fnn_ops_##name##_f32[FNN_OPS], fnn_ops_##name##_f64[FNN_OPS];
#include "core/isa.def"
#undef FNN_ISA

static const struct {
    const char *name;
    const fnn_op *ops[FNN_DTYPES];
} levels[FNN_ISA_LEVELS] = {
#define FNN_ISA(name) {#name, {fnn_ops_##name##_f32, fnn_ops_##name##_f64}},
#include "core/isa.def"
#undef FNN_ISA
};

/* Written once by initialize(), read-only after; num_threads may be set at any time. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int selected;
static const char *requested;
static char requested_copy[64];
static _Atomic(const char *) num_threads_source;
static atomic_int num_threads;
static char message[512];
static const char *error;

static int64_t l2_cache;

static _Thread_local int thread_limit;

static void select_isa(void)
{
    for (int i = 0; i < FNN_ISA_LEVELS; i++)
        if (fnn_cpu_supports((fnn_isa_level)i)) selected = i;
    const char *wanted = getenv("FASTNN_ISA");
    if (!wanted || !*wanted) return;
    snprintf(requested_copy, sizeof requested_copy, "%s", wanted);
    requested = requested_copy;
    char valid[128] = "";
    for (int i = 0; i < FNN_ISA_LEVELS; i++) {
        if (!fnn_cpu_supports((fnn_isa_level)i)) continue;
        if (strcmp(levels[i].name, wanted) == 0) {
            selected = i;
            return;
        }
        snprintf(valid + strlen(valid), sizeof valid - strlen(valid), "%s%s", *valid ? ", " : "",
                 levels[i].name);
    }
    snprintf(message, sizeof message, "FASTNN_ISA=%s is not available here; valid values: %s",
             requested, valid);
    error = message;
}

static void count_threads(void)
{
    const int affinity = fnn_cpu_affinity();
    const int quota = fnn_cpu_quota("");
    int threads = quota > 0 && quota < affinity ? quota : affinity;
    if (threads > FNN_MAX_THREADS) threads = FNN_MAX_THREADS;
    num_threads_source = threads == quota && quota < affinity ? "cgroup quota" : "CPU affinity";
    fnn_team_initialize(threads, quota > 0);
    const char *wanted = getenv("FASTNN_NUM_THREADS");
    if (wanted && *wanted) {
        char *end;
        const long n = strtol(wanted, &end, 10);
        if (*end == '\0' && n >= 1 && n <= FNN_MAX_THREADS) {
            threads = (int)n;
            num_threads_source = "FASTNN_NUM_THREADS";
        } else if (!error) {
            snprintf(message, sizeof message,
                     "FASTNN_NUM_THREADS=%.32s is not valid; valid values: 1 to %d", wanted,
                     FNN_MAX_THREADS);
            error = message;
        }
    }
    atomic_store(&num_threads, threads);
}

static void initialize(void)
{
    select_isa();
    l2_cache = fnn_cpu_l2_cache();
    count_threads();
}

const char *fnn_initialize(void)
{
    pthread_once(&once, initialize);
    return error;
}

const fnn_op *fnn_selected_op(fnn_op_id id, fnn_dtype dtype)
{
    pthread_once(&once, initialize);
    return &levels[selected].ops[dtype][id];
}

int64_t fnn_l2_cache(void)
{
    return l2_cache; /* whoever runs an op has come through fnn_selected_op */
}

const char *fnn_version(void)
{
    return FNN_VERSION;
}

const char *fnn_compiler(void)
{
#if defined(__clang__)
    return "Clang " __clang_version__;
#else
    return "GCC " __VERSION__;
#endif
}

const char *fnn_isa(void)
{
    fnn_initialize();
    return levels[selected].name;
}

const char *fnn_isa_requested(void)
{
    fnn_initialize();
    return requested;
}

const char *fnn_isa_built(int i)
{
    return i >= 0 && i < FNN_ISA_LEVELS ? levels[i].name : NULL;
}

bool fnn_isa_available(const char *isa)
{
    for (int i = 0; i < FNN_ISA_LEVELS; i++)
        if (strcmp(levels[i].name, isa) == 0) return fnn_cpu_supports((fnn_isa_level)i);
    return false;
}

int fnn_num_threads(void)
{
    fnn_initialize();
    return thread_limit > 0 ? thread_limit
                            : atomic_load_explicit(&num_threads, memory_order_relaxed);
}

void fnn_set_num_threads(int n)
{
    fnn_initialize(); /* or it would overwrite n later */
    atomic_store(&num_threads, n);
    num_threads_source = "set_num_threads";
}

int fnn_thread_limit(void)
{
    return thread_limit;
}

void fnn_set_thread_limit(int n)
{
    thread_limit = n;
}

const char *fnn_num_threads_source(void)
{
    fnn_initialize();
    return thread_limit > 0 ? "threads(n) of this thread" : num_threads_source;
}
