#include "ops/tile.h"

/* A tile whose last vector may be used in part costs nothing more on AVX-512; elsewhere it is code
 * of its own. */
#if defined(__AVX512F__)
#define WHOLE_OR_PART(rows, vecs, kind) row_of_tiles(rows, vecs, true, kind, t)
#else
#define WHOLE_OR_PART(rows, vecs, kind)                                                            \
    if (part) row_of_tiles(rows, vecs, true, kind, t);                                             \
    else row_of_tiles(rows, vecs, false, kind, t)
#endif

/* The switches make `rows` and `vecs` constants. */
#define CASE(r, kind)                                                                              \
    case r:                                                                                        \
        if (vecs == 1) {                                                                           \
            WHOLE_OR_PART(r, 1, kind);                                                             \
        } else {                                                                                   \
            WHOLE_OR_PART(r, 2, kind);                                                             \
        }                                                                                          \
        break;
#if REGISTERS == 32
#define EACH_ROWS(kind)                                                                            \
    CASE(1, kind)                                                                                  \
    CASE(2, kind)                                                                                  \
    CASE(3, kind)                                                                                  \
    CASE(4, kind)                                                                                  \
    CASE(5, kind)                                                                                  \
    CASE(6, kind)                                                                                  \
    CASE(7, kind)                                                                                  \
    CASE(8, kind)                                                                                  \
    CASE(9, kind)                                                                                  \
    CASE(10, kind)                                                                                 \
    CASE(11, kind)                                                                                 \
    CASE(12, kind)
#else
#define EACH_ROWS(kind)                                                                            \
    CASE(1, kind) CASE(2, kind) CASE(3, kind) CASE(4, kind) CASE(5, kind) CASE(6, kind)
#endif

static void packed_tiles(int rows, int vecs, bool part, const tile_args *t)
{
    (void)part;
    switch (rows) {
        EACH_ROWS(PACKED)
    }
}

static void tiles_by_rows(int rows, int vecs, bool part, const tile_args *t)
{
    (void)part;
    switch (rows) {
        EACH_ROWS(A_ROWS)
    }
}

static void strided_tiles(int rows, int vecs, bool part, const tile_args *t)
{
    (void)part;
    switch (rows) {
        EACH_ROWS(A_STRIDED)
    }
}

/* As wide as tiles get: whole vectors alone. Where the tiles of a block are of two heights, which
 * are then about half of the largest, the lower ones are as wide as the others. */
static inline __attribute__((always_inline)) void
wide_tiles(int rows, int vecs, const tile_kind kind, const tile_args *t)
{
    enum { HALF = TILE_ROWS / 2 };
    if (rows == HALF && vecs < WIDEST(HALF)) {
        row_of_tiles(HALF, WIDEST(HALF + 1), false, kind, t);
        return;
    }
    switch (rows) {
#define WIDE(r)                                                                                    \
    case r:                                                                                        \
        row_of_tiles(r, WIDEST(r), false, kind, t);                                                \
        break;
        WIDE(1)
        WIDE(2)
        WIDE(3)
        WIDE(4)
#if REGISTERS == 32
        WIDE(5) WIDE(6) WIDE(7) WIDE(8)
#endif
#undef WIDE
    }
}

static void wide_tiles_by_rows(int rows, int vecs, const tile_args *t)
{
    wide_tiles(rows, vecs, A_ROWS, t);
}

static void wide_strided_tiles(int rows, int vecs, const tile_args *t)
{
    wide_tiles(rows, vecs, A_STRIDED, t);
}

/* The tiles that most of the time goes to, each in a function of its own: among others GCC's
 * registers run out at random. */
static __attribute__((noinline)) void full_packed_tiles(const tile_args *t)
{
    row_of_tiles(TILE_ROWS, TILE_VECS, false, PACKED, t);
}

static __attribute__((noinline)) void full_tiles_by_rows(const tile_args *t)
{
    row_of_tiles(TILE_ROWS, TILE_VECS, false, A_ROWS, t);
}

static __attribute__((noinline)) void full_strided_tiles(const tile_args *t)
{
    row_of_tiles(TILE_ROWS, TILE_VECS, false, A_STRIDED, t);
}

void run_tiles(int rows, int vecs, bool part, tile_kind kind, const tile_args *t)
{
    if (rows == TILE_ROWS && vecs == TILE_VECS && !part) {
        if (kind == PACKED) full_packed_tiles(t);
        else if (kind == A_ROWS) full_tiles_by_rows(t);
        else full_strided_tiles(t);
    } else if (kind == PACKED) {
        packed_tiles(rows, vecs, part, t);
    } else if (vecs > TILE_VECS) {
        if (kind == A_ROWS) wide_tiles_by_rows(rows, vecs, t);
        else wide_strided_tiles(rows, vecs, t);
    } else {
        if (kind == A_ROWS) tiles_by_rows(rows, vecs, part, t);
        else strided_tiles(rows, vecs, part, t);
    }
}
