/* What this machine is: instruction sets, and how many CPUs this process may use. */
#ifndef FNN_CPU_H
#define FNN_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* The levels of this build, ascending; each needs all that the one before it needs. */
typedef enum fnn_isa_level {
#define FNN_ISA(name) FNN_ISA_##name,
#include "core/isa.def"
#undef FNN_ISA
    FNN_ISA_LEVELS
} fnn_isa_level;

bool fnn_cpu_supports(fnn_isa_level level);

/* CPUs in this process's affinity mask; at least 1. */
int fnn_cpu_affinity(void);

/* Bytes of L2 cache that a core has; where the system does not say, those of a common one. */
int64_t fnn_cpu_l2_cache(void);

/* The CPU that the calling thread runs on at this moment, or -1 where the system does not say. */
int fnn_cpu_current(void);

/* Moves the calling thread off CPU `cpu`, to any other in its affinity mask: that stays as it is. */
void fnn_cpu_leave(int cpu);

/* CPUs that the control group's quota pays for, rounded down, at least 1; 0 where there is no
 * quota. The smallest quota on the path from this process's group to the root counts, for cgroup v2
 * and v1. `root` is put before /proc and /sys, so that a test can bring its own; normally "". */
int fnn_cpu_quota(const char *root);

#endif
