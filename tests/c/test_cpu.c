/* The control group's quota, read from a made-up /proc and /sys. */
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "core/cpu.h"

static char root[256];

static void put(const char *path, const char *text)
{
    char full[1024];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(full, 0700);
        *at = '/';
    }
    FILE *file = fopen(full, "w");
    CHECK(file, "%s", full);
    fputs(text, file);
    fclose(file);
}

static void fresh_root(void)
{
    snprintf(root, sizeof root, "/tmp/fastnn-cgroup-XXXXXX");
    CHECK(mkdtemp(root), "mkdtemp");
}

static void drop_root(void)
{
    char command[512];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    CHECK(system(command) == 0, "%s", command);
}

int main(void)
{
    fresh_root();
    CHECK(fnn_cpu_quota(root) == 0, "no cgroup at all");

    put("/proc/self/cgroup", "0::/a/b\n");
    CHECK(fnn_cpu_quota(root) == 0, "no cpu.max");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    CHECK(fnn_cpu_quota(root) == 0, "max is no quota");
    put("/sys/fs/cgroup/a/b/cpu.max", "765000 100000\n");
    CHECK(fnn_cpu_quota(root) == 7, "rounded down, got %d", fnn_cpu_quota(root));
    put("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
    CHECK(fnn_cpu_quota(root) == 2, "a parent's counts, got %d", fnn_cpu_quota(root));
    put("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    CHECK(fnn_cpu_quota(root) == 1, "at least one, got %d", fnn_cpu_quota(root));
    put("/sys/fs/cgroup/a/cpu.max", "garbage\n");
    CHECK(fnn_cpu_quota(root) == 7, "an unreadable quota is none, got %d", fnn_cpu_quota(root));
    drop_root();

    fresh_root();
    put("/proc/self/cgroup", "5:cpuset:/x\n4:cpuacct,cpu:/docker/1\n1:name=systemd:/\n");
    put("/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000\n");
    CHECK(fnn_cpu_quota(root) == 0, "-1 is no quota");
    put("/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "399999\n");
    CHECK(fnn_cpu_quota(root) == 3, "version 1, got %d", fnn_cpu_quota(root));
    drop_root();

    CHECK(fnn_cpu_affinity() >= 1, "got %d", fnn_cpu_affinity());
    CHECK(fnn_cpu_supports((fnn_isa_level)0), "the lowest level always runs");
    return 0;
}
