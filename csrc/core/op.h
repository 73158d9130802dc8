/* What an op is to the rest of the library: a row of the dispatch table. */
#ifndef FNN_OP_H
#define FNN_OP_H

#include "fastnn.h"

/* The ids and the table rows come from one list. */
typedef enum fnn_op_id {
#define FNN_OP(name, args) FNN_OP_##name,
#include "ops/ops.def"
#undef FNN_OP
    FNN_OPS
} fnn_op_id;

/* One member's view of the team that runs an op. */
typedef struct fnn_team {
    int rank, size;
    struct fnn_barrier *barrier;
    void *workspace; /* shared by the members, aligned to FNN_ALIGN */
} fnn_team;

/* How many members the work pays for, and the bytes of scratch memory they share. */
typedef struct fnn_plan {
    int members;
    size_t workspace;
} fnn_plan;

/* `run` is SPMD: every member calls it with its own view. It writes the same bits for any size of
 * team up to the planned one. Neither function can fail or allocate. */
typedef struct fnn_op {
    fnn_plan (*plan)(const void *args, int max_members);
    void (*run)(const void *args, const fnn_team *team);
} fnn_op;

enum { FNN_ALIGN = 64 };

/* Rows of a matrix that fnn_pack lays out are filled up to a multiple of this, the widest panel. */
enum { FNN_PANEL_BYTES = 128 };

/* Bytes of L2 cache that a core has. */
int64_t fnn_l2_cache(void);

/* Waits until every member of the team has arrived; what they wrote before is visible after. */
void fnn_team_barrier(const fnn_team *team);

/* The first `size` members of a team on their own, with a barrier of their own, as seen by one of
 * them. A part has no parts. */
fnn_team fnn_team_part(const fnn_team *whole, int size, void *workspace);

#endif
