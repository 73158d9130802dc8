/* Why no OpenMP: libgomp hangs in a forked child, and two OpenMP runtimes in one process collide.
 *
 * Workers are started when first needed and never end. Between ops each waits on a mailbox of its
 * own: it spins for a moment, then sleeps. Only workers that take part in an op are told of it, so
 * nobody reads the description of an op that is being replaced. */
#define _GNU_SOURCE
#include "core/team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "core/cpu.h"

/* ---- events: a number that threads wait on, first spinning, then asleep ---------------------- */

typedef struct event {
    atomic_uint value;
    atomic_int sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} event;

static void event_initialize(event *e)
{
    atomic_store(&e->value, 0);
    atomic_store(&e->sleepers, 0);
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->changed, NULL);
}

/* Not the pause instruction: hypervisors take many of them for a deadlock and put the virtual CPU
 * aside. On a KVM guest with two EPYC (Zen 4) cores a round trip between two spinning threads took
 * 0.15 us without it and 23 us with it, 250 us in the middle of a product. */
static inline void cpu_relax(void)
{
    __asm__ volatile("nop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop");
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Returns the first value seen that is not `old`: spins, then yields for a while, then sleeps. */
static unsigned event_wait(event *e, unsigned old, int64_t spin_ns, int64_t yield_ns)
{
    enum { SPINS_PER_LOOK = 100 }; /* at the clock */
    unsigned value;
    for (int64_t i = 0, start = 0, waited = 0; waited < spin_ns + yield_ns; i++) {
        value = atomic_load_explicit(&e->value, memory_order_acquire);
        if (value != old) return value;
        if (waited < spin_ns) cpu_relax();
        else sched_yield();
        if (i % SPINS_PER_LOOK != 0 && waited < spin_ns) continue;
        if (start == 0) start = now_ns();
        waited = now_ns() - start;
    }
    /* Either the setter sees this sleeper, or this thread sees the new value: both sides are
     * sequentially consistent. */
    pthread_mutex_lock(&e->mutex);
    atomic_fetch_add(&e->sleepers, 1);
    while ((value = atomic_load(&e->value)) == old) pthread_cond_wait(&e->changed, &e->mutex);
    atomic_fetch_sub(&e->sleepers, 1);
    pthread_mutex_unlock(&e->mutex);
    return value;
}

/* Returns whether somebody had to be woken. */
static bool event_set(event *e, unsigned value)
{
    atomic_store(&e->value, value);
    if (atomic_load(&e->sleepers) == 0) return false; /* the common case makes no system call */
    pthread_mutex_lock(&e->mutex);
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->mutex);
    return true;
}

/* ---- the team -------------------------------------------------------------------------------- */

/* How long idle workers spin: the gap between two kernels of a training loop in Python is a few us.
 * Less where a control group meters the time. Who waits for other members in the middle of an op
 * then stays awake for a while, leaving its CPU to who needs it: the scheduler likes to wake a
 * thread on the CPU of the one that woke it, and until it parts them, both are slow. */
enum { SPIN_NS = 200000, METERED_SPIN_NS = 20000, YIELD_NS = 500000 };

typedef struct fnn_barrier {
    atomic_int arrived;
    event generation;
} fnn_barrier;

typedef struct mailbox {
    _Alignas(2 * FNN_ALIGN) event go; /* two lines: neighbours are prefetched in pairs */
} mailbox;

static struct {
    pthread_mutex_t busy; /* held while an op runs; guards what is not atomic below */
    int workers;          /* started; ranks 1 .. workers */
    unsigned epoch;       /* number of the current op */
    int cpus;
    int64_t spin_ns, wait_spin_ns; /* between ops; within the current op */

    /* the current op, read by the members it was sent to */
    const fnn_op *op;
    const void *args;
    void *workspace;
    int size;
    int cpu; /* where the caller runs, or -1 */

    atomic_int running;      /* workers that have not finished */
    event done;              /* the epoch whose workers have all finished */
    fnn_barrier barriers[2]; /* between the members of the current op, and those of a part */
    mailbox mailboxes[FNN_MAX_THREADS];
} team;

static void reset(void)
{
    pthread_mutex_init(&team.busy, NULL);
    team.workers = 0;
    team.epoch = 0;
    atomic_store(&team.running, 0);
    event_initialize(&team.done);
    for (int i = 0; i < 2; i++) {
        atomic_store(&team.barriers[i].arrived, 0);
        event_initialize(&team.barriers[i].generation);
    }
    for (int i = 0; i < FNN_MAX_THREADS; i++) event_initialize(&team.mailboxes[i].go);
}

/* fork() copies the calling thread alone. The parent waits for a running op, so that the child gets
 * no half-done state; the child forgets the workers and starts its own when it needs them. */
static void before_fork(void)
{
    pthread_mutex_lock(&team.busy);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&team.busy);
}

void fnn_team_initialize(int cpus, bool quota)
{
    team.cpus = cpus;
    team.spin_ns = quota ? METERED_SPIN_NS : SPIN_NS;
    reset();
    pthread_atfork(before_fork, after_fork_in_parent, reset);
}

void fnn_team_barrier(const fnn_team *member)
{
    if (member->size == 1) return;
    fnn_barrier *barrier = member->barrier;
    const unsigned generation = atomic_load(&barrier->generation.value);
    if (atomic_fetch_add(&barrier->arrived, 1) + 1 == member->size) {
        atomic_store(&barrier->arrived, 0);
        event_set(&barrier->generation, generation + 1);
    } else {
        event_wait(&barrier->generation, generation, team.wait_spin_ns, YIELD_NS);
    }
}

fnn_team fnn_team_part(const fnn_team *whole, int size, void *workspace)
{
    return (fnn_team){whole->rank, size, whole->barrier ? whole->barrier + 1 : NULL, workspace};
}

static void run_member(int rank)
{
    const fnn_team member = {
        .rank = rank, .size = team.size, .barrier = team.barriers, .workspace = team.workspace};
    team.op->run(team.args, &member);
}

static void *worker_main(void *argument)
{
    const int rank = (int)(intptr_t)argument;
    unsigned epoch = 0;
    for (;;) {
        epoch = event_wait(&team.mailboxes[rank].go, epoch, team.spin_ns, 0);
        /* Two Zen 4 cores: without this every other burst of 256^3 products took twice the time. */
        if (team.cpu >= 0 && fnn_cpu_current() == team.cpu) fnn_cpu_leave(team.cpu);
        run_member(rank);
        if (atomic_fetch_sub(&team.running, 1) == 1) event_set(&team.done, epoch);
    }
    return NULL;
}

/* Starts workers until `members` can take part; returns how many members there are. */
static int recruit(int members)
{
    if (team.workers >= members - 1) return members;
    /* Signals are for the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (team.workers < members - 1) {
        pthread_t thread;
        const intptr_t rank = team.workers + 1;
        if (pthread_create(&thread, &attributes, worker_main, (void *)rank) != 0) break;
        team.workers++;
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return team.workers + 1;
}

/* Runs the op with `members` > 1 members, all recruited; `busy` is held. */
static void run_together(const fnn_op *op, const void *args, void *workspace, int members)
{
    team.op = op;
    team.args = args;
    team.workspace = workspace;
    team.size = members;
    /* More members than CPUs: who waits should leave its CPU to who works. */
    team.wait_spin_ns = members > team.cpus ? 0 : team.spin_ns;
    team.cpu = members > team.cpus ? -1 : fnn_cpu_current();
    const unsigned before = team.epoch;
    team.epoch = before + 1 != 0 ? before + 1 : 1; /* 0 is what a new worker's mailbox holds */
    atomic_store(&team.running, members - 1);
    bool woken = false;
    for (int rank = 1; rank < members; rank++)
        woken |= event_set(&team.mailboxes[rank].go, team.epoch);
    if (woken) sched_yield(); /* to a worker that woke up here, so that it can move away */
    run_member(0);
    event_wait(&team.done, before, team.wait_spin_ns, YIELD_NS);
}

void fnn_team_run(const fnn_op *op, const void *args, void *workspace, int members)
{
    bool done = false;
    if (members > 1 && pthread_mutex_trylock(&team.busy) == 0) {
        members = recruit(members);
        done = members > 1;
        if (done) run_together(op, args, workspace, members);
        pthread_mutex_unlock(&team.busy);
    }
    if (!done) op->run(args, &(fnn_team){.rank = 0, .size = 1, .workspace = workspace});
}
