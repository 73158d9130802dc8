/* A program is run by a team as one op: every member goes through the steps, takes part in those
 * that were planned for so many members, and waits for the others only where a step needs what more
 * than one member has done. */
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/dispatch.h"
#include "core/team.h"

typedef struct step {
    const fnn_op *op;
    void *args;
    int64_t *after;
    int64_t after_count;
    int members;
    bool barrier;
    bool guard;       /* fnn_require_finite */
    size_t workspace; /* offset */
} step;

struct fnn_program {
    step *steps;
    int64_t count;
    char *args;     /* of all steps */
    int64_t *after; /* of all steps */
    char *workspace;
    int threads, members; /* what it is planned for; 0: not yet */
    double *seconds;

    /* of the current run */
    int64_t first, stopped;
    bool not_finite;
    int64_t deadline;
    bool is_long; /* worth a look at the clock between its steps */
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static size_t aligned(size_t size)
{
    return (size + FNN_ALIGN - 1) / FNN_ALIGN * FNN_ALIGN;
}

/* ---- making -------------------------------------------------------------------------------------- */

static bool copy_steps(fnn_program *program, const fnn_step *steps)
{
    size_t size = 0, after = 0;
    for (int64_t i = 0; i < program->count; i++) {
        size += aligned(fnn_op_size(steps[i].op));
        after += (size_t)steps[i].after_count;
    }
    program->args = aligned_alloc(FNN_ALIGN, size + FNN_ALIGN);
    program->after = malloc((after + 1) * sizeof *program->after);
    if (!program->args || !program->after) return false;
    char *args = program->args;
    int64_t *to = program->after;
    for (int64_t i = 0; i < program->count; i++) {
        const size_t bytes = fnn_op_size(steps[i].op);
        program->steps[i].op = fnn_selected_op((fnn_op_id)steps[i].op, steps[i].dtype);
        program->steps[i].guard = steps[i].op == FNN_OP_require_finite;
        program->steps[i].args = memcpy(args, steps[i].args, bytes);
        program->steps[i].after = to;
        program->steps[i].after_count = steps[i].after_count;
        for (int64_t j = 0; j < steps[i].after_count; j++) *to++ = steps[i].after[j];
        args += aligned(bytes);
    }
    return true;
}

fnn_program *fnn_program_create(const fnn_step *steps, int64_t count)
{
    fnn_program *program = calloc(1, sizeof *program);
    if (!program) return NULL;
    program->count = count;
    program->steps = calloc((size_t)count + 1, sizeof *program->steps);
    if (!program->steps || !copy_steps(program, steps)) {
        fnn_program_destroy(program);
        return NULL;
    }
    return program;
}

void fnn_program_destroy(fnn_program *program)
{
    if (!program) return;
    free(program->steps);
    free(program->args);
    free(program->after);
    free(program->workspace);
    free(program);
}

void *fnn_program_args(fnn_program *program, int64_t i)
{
    return program->steps[i].args;
}

void fnn_program_profile(fnn_program *program, double *seconds)
{
    program->seconds = seconds;
    program->threads = 0; /* to be planned anew, with a barrier before every step */
}

/* ---- planning ------------------------------------------------------------------------------------ */

/* Whether step i must wait: for a step since `begin` that another member may still be at, or because
 * the barrier of a part is for parts of one size. */
static bool needs_barrier(const fnn_program *program, int64_t i, int64_t begin)
{
    const step *s = program->steps + i;
    if (program->seconds || s->guard) return true;
    for (int64_t j = 0; j < s->after_count; j++)
        if (s->after[j] >= begin && (s->members > 1 || program->steps[s->after[j]].members > 1))
            return true;
    for (int64_t j = begin; j < i; j++)
        if (s->members > 1 && program->steps[j].members > 1 &&
            program->steps[j].members != s->members)
            return true;
    return false;
}

/* Scratch memory of the steps from begin to end, which no barrier parts: those of a single member, one
 * after the other, share theirs; the others have their own. Returns its size. */
static size_t place_workspaces(fnn_program *program, int64_t begin, int64_t end,
                               const size_t *sizes)
{
    size_t used = 0;
    for (int64_t i = begin; i < end; i++)
        if (program->steps[i].members == 1 && sizes[i] > used) used = sizes[i];
    for (int64_t i = begin; i < end; i++) {
        if (program->steps[i].members == 1) continue;
        program->steps[i].workspace = used;
        used += sizes[i];
    }
    return used;
}

static fnn_status plan(fnn_program *program, int threads)
{
    size_t *sizes = malloc(((size_t)program->count + 1) * sizeof *sizes);
    if (!sizes) return FNN_ENOMEM;
    size_t most = 0;
    int64_t begin = 0;
    program->members = 1;
    for (int64_t i = 0; i < program->count; i++) {
        step *s = program->steps + i;
        const fnn_plan p = s->op->plan(s->args, threads);
        sizes[i] = aligned(p.workspace);
        s->members = p.members;
        s->workspace = 0;
        if (p.members > program->members) program->members = p.members;
        s->barrier = i > 0 && needs_barrier(program, i, begin);
        if (!s->barrier) continue;
        const size_t used = place_workspaces(program, begin, i, sizes);
        most = used > most ? used : most;
        begin = i;
    }
    const size_t used = place_workspaces(program, begin, program->count, sizes);
    most = used > most ? used : most;
    free(sizes);
    free(program->workspace);
    program->workspace = aligned_alloc(FNN_ALIGN, most + FNN_ALIGN);
    program->threads = program->workspace ? threads : 0;
    return program->workspace ? FNN_OK : FNN_ENOMEM;
}

/* ---- running ------------------------------------------------------------------------------------- */

static void run_step(const fnn_program *program, int64_t i, const fnn_team *team)
{
    const step *s = program->steps + i;
    const int size = s->members < team->size ? s->members : team->size;
    if (team->rank >= size) return;
    const int64_t start = program->seconds ? now_ns() : 0;
    const fnn_team part = fnn_team_part(team, size, program->workspace + s->workspace);
    s->op->run(s->args, &part);
    if (program->seconds && team->rank == 0)
        program->seconds[i] += (double)(now_ns() - start) * 1e-9;
}

static void run_steps(const void *args, const fnn_team *team)
{
    fnn_program *program = (fnn_program *)args;
    for (int64_t i = program->first; i < program->count; i++) {
        const bool barrier = program->steps[i].barrier || team->size == 1;
        if (barrier && i > program->first) {
            /* Before the barrier that all read it after. */
            if (team->rank == 0 && program->is_long && now_ns() > program->deadline)
                program->stopped = i;
            fnn_team_barrier(team);
            if (program->stopped == i) return;
        }
        if (program->steps[i].guard) { /* all members see the same number, and stop together */
            const fnn_require_finite_args *guard = program->steps[i].args;
            if (!isfinite(*guard->x)) {
                if (team->rank == 0) program->not_finite = true;
                return;
            }
        }
        run_step(program, i, team);
    }
}

fnn_status fnn_program_run(fnn_program *program, int64_t *next, double pause)
{
    static const fnn_op as_op = {NULL, run_steps};
    const int threads = fnn_num_threads();
    if (threads != program->threads) {
        const fnn_status status = plan(program, threads);
        if (status != FNN_OK) return status;
        program->is_long = true; /* until a run shows the contrary */
    }
    const int64_t start = now_ns();
    program->first = *next;
    program->stopped = program->count;
    program->not_finite = false;
    program->deadline = pause > 0 ? start + (int64_t)(pause * 1e9) : INT64_MAX;
    fnn_team_run(&as_op, program, NULL, program->members);
    if (program->not_finite) return FNN_NOT_FINITE;
    if (*next == 0 && program->stopped == program->count)
        program->is_long = pause > 0 && (double)(now_ns() - start) > 0.1e9 * pause;
    *next = program->stopped;
    return FNN_OK;
}
