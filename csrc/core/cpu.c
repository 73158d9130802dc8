#define _GNU_SOURCE
#include "core/cpu.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool fnn_cpu_supports(fnn_isa_level level)
{
#if defined(__x86_64__)
    /* The builtins ask XGETBV too: a level counts if the operating system saves its registers. */
    __builtin_cpu_init();
    switch (level) {
    case FNN_ISA_baseline:
        return true;
    case FNN_ISA_avx2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case FNN_ISA_avx512:
        return fnn_cpu_supports(FNN_ISA_avx2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
    default:
        return false;
    }
#else
    return level == 0; /* NEON is part of AArch64; elsewhere there is only the baseline */
#endif
}

int fnn_cpu_affinity(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int64_t fnn_cpu_l2_cache(void)
{
#if defined(_SC_LEVEL2_CACHE_SIZE) /* glibc */
    const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (size > 0) return size;
#endif
    return 512 << 10;
}

int fnn_cpu_current(void)
{
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

void fnn_cpu_leave(int cpu)
{
#if defined(__linux__)
    cpu_set_t before;
    if (sched_getaffinity(0, sizeof before, &before) != 0 || !CPU_ISSET(cpu, &before)) return;
    cpu_set_t others = before;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
    sched_setaffinity(0, sizeof before, &before);
#else
    (void)cpu;
#endif
}

enum { PATH_SIZE = 4096 };

static int64_t read_integer(const char *path)
{
    int64_t value = -1;
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    if (fscanf(file, "%" SCNd64, &value) != 1) value = -1;
    fclose(file);
    return value;
}

/* CPUs paid for by the group at `directory`: quota / period, at least 1; 0 where there is none. */
static int group_quota(const char *directory, bool v2)
{
    char path[PATH_SIZE + 32];
    int64_t quota = -1, period = -1;
    if (v2) {
        snprintf(path, sizeof path, "%s/cpu.max", directory); /* "max 100000" or "150000 100000" */
        FILE *file = fopen(path, "r");
        if (!file) return 0;
        if (fscanf(file, "%" SCNd64 " %" SCNd64, &quota, &period) != 2) quota = -1;
        fclose(file);
    } else {
        snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directory);
        quota = read_integer(path);
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory);
        period = read_integer(path);
    }
    if (quota <= 0 || period <= 0) return 0;
    return quota < period ? 1 : (int)(quota / period);
}

/* The smallest quota from mount/group up to mount. */
static int path_quota(const char *mount, const char *group, bool v2)
{
    char directory[PATH_SIZE];
    const int length = snprintf(directory, sizeof directory, "%s%s", mount, group);
    if (length < 0 || (size_t)length >= sizeof directory) return 0;
    const size_t root = strlen(mount);
    int smallest = 0;
    for (;;) {
        const int quota = group_quota(directory, v2);
        if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
        char *slash = strrchr(directory, '/');
        if (!slash || (size_t)(slash - directory) < root) return smallest;
        *slash = '\0';
    }
}

/* Whether the comma-separated list `names` has `cpu` in it. */
static bool controls_cpu(const char *names)
{
    for (const char *at = names; (at = strstr(at, "cpu")) != NULL; at += 3) {
        const bool starts = at == names || at[-1] == ',';
        if (starts && (at[3] == '\0' || at[3] == ',')) return true;
    }
    return false;
}

int fnn_cpu_quota(const char *root)
{
    char path[PATH_SIZE], line[PATH_SIZE];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    int smallest = 0;
    while (fgets(line, sizeof line, file)) { /* hierarchy:controllers:group */
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':');
        char *group = names ? strchr(names + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        names++;
        const bool v2 = names[0] == '\0';
        if (!v2 && !controls_cpu(names)) continue;
        snprintf(path, sizeof path, "%s/sys/fs/cgroup%s", root, v2 ? "" : "/cpu");
        const int quota = path_quota(path, group, v2);
        if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
    }
    fclose(file);
    return smallest;
}
