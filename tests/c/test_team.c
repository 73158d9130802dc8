/* The thread team by itself: every member runs once, barriers hold, callers do not meet. */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"
#include "core/team.h"

enum { ROUNDS = 50 };

typedef struct count {
    atomic_int arrived[ROUNDS];
    atomic_int ran[FNN_MAX_THREADS];
    atomic_int size, wrong;
} count;

/* After barrier r, every member must have arrived for round r. */
static void run(const void *args, const fnn_team *team)
{
    count *c = *(count *const *)args;
    atomic_store(&c->size, team->size);
    atomic_fetch_add(&c->ran[team->rank], 1);
    for (int r = 0; r < ROUNDS; r++) {
        atomic_fetch_add(&c->arrived[r], 1);
        fnn_team_barrier(team);
        if (atomic_load(&c->arrived[r]) != team->size) atomic_store(&c->wrong, 1);
    }
}

static const fnn_op op = {.run = run};

static void check_run(int members)
{
    count *c = calloc(1, sizeof *c);
    CHECK(c, "no memory");
    fnn_team_run(&op, &c, NULL, members);
    const int size = atomic_load(&c->size);
    CHECK(size >= 1 && size <= members, "size %d of %d", size, members);
    CHECK(!atomic_load(&c->wrong), "a barrier let a member through, size %d", size);
    for (int r = 0; r < FNN_MAX_THREADS; r++)
        CHECK(atomic_load(&c->ran[r]) == (r < size), "rank %d ran %d times", r,
              atomic_load(&c->ran[r]));
    free(c);
}

/* An op that starts an op: the inner one runs alone. */
static void run_nested(const void *args, const fnn_team *team)
{
    (void)args;
    if (team->rank == 0) check_run(4);
}

static void *caller(void *unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++) check_run(1 + i % 5);
    return NULL;
}

static void check_concurrent_callers(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, caller, NULL) == 0, "pthread_create");
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

int main(void)
{
    CHECK(fnn_initialize() == NULL, "%s", fnn_initialize());
    for (int i = 0; i < 100; i++) check_run(1 + i % 6);
    const fnn_op nested = {.run = run_nested};
    fnn_team_run(&nested, NULL, NULL, 3);
    check_concurrent_callers();
    return 0;
}
