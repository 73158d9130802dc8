/* The thread team: runs one op at a time on the calling thread and on workers of our own. */
#ifndef FNN_TEAM_H
#define FNN_TEAM_H

#include "core/op.h"

/* Once per process: fork handlers, and how long to spin. `cpus` is what the process may use,
 * `quota` says that a control group meters its CPU time, so that spinning would be paid for. */
void fnn_team_initialize(int cpus, bool quota);

/* Runs the op with `members` members, or fewer where the team is busy (another thread's op, or this
 * is a nested call) or the system gives no more threads. Returns when all have finished. */
void fnn_team_run(const fnn_op *op, const void *args, void *workspace, int members);

#endif
