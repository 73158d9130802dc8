/* How a product is cut. The figures that chose the constants: bench/gemm_tuning.md. */
#include "ops/product.h"
#include "ops/tile.h"

/* Rows whose distance is a multiple of this many bytes fall into few cache sets. */
enum { ALIASING_BYTES = 1024 };

/* Room for A where it is packed; it comes from L3 then, in order. */
enum { A_PACKED_BYTES = 2 << 20 };

/* Multiply-adds up to which b is read in place. */
enum { IN_PLACE_WORK = 4 << 20 };

static inline bool aliases(int64_t stride)
{
    return stride * (int64_t)sizeof(real) % ALIASING_BYTES == 0;
}

/* Whether tiles can read a where it lies, and should: they hold it in L1. */
static bool read_a_in_place(const product *p)
{
    const source *a = &p->a;
    if (!source_is_matrix(a) || p->alpha != 1) return false;
    /* Rows that lie well, gaps and all: those of a tile are no more than L1 has room for. */
    if (saturating_mul(magnitude(a->col_stride), min_i64(p->K, KC_MAX)) <= KC_MAX) return true;
    const int64_t most =
        (aliases(a->col_stride) ? 2 : 8) * TILE_COLS; /* for which a line stays in L1 */
    return magnitude(a->row_stride) <= 2 && p->N <= most;
}

/* Whether tiles can read b where it lies, and should: packing costs as much as some ten rows of
 * tiles, and saves TLB and cache misses of each. */
static bool read_b_in_place(const product *p)
{
    const source *b = &p->b;
    if (!source_is_matrix(b) || b->col_stride != 1) return false;
    if (p->M <= 2 * TILE_ROWS) return true;
    if (aliases(b->row_stride) && p->K > 64) return false;
    return saturating_mul(saturating_mul(p->M, p->N), p->K) <= IN_PLACE_WORK;
}

blocking product_blocking(const product *p)
{
    blocking s = {.a = A_PACKED, .b = B_PACKED};
    if (!source_is_matrix(&p->a)) s.a = A_COPIED;
    else if (read_a_in_place(p)) s.a = A_IN_PLACE;
    if (p->packed_b) s.b = B_PACKED;
    else if (s.a == A_IN_PLACE && read_b_in_place(p)) s.b = B_IN_PLACE;
    /* Blocks of K are equal: 260 is 130 + 130, not 256 + 4. */
    s.KC = p->K <= KC_MAX ? max_i64(1, p->K) : ceil_div(p->K, ceil_div(p->K, KC_MAX));
    const int64_t room = fnn_l2_cache() / 2 / (int64_t)sizeof(real) / KC_MAX;
    s.NC = max_i64(1, room / TILE_COLS) * TILE_COLS;
    /* Where A is packed, MC x KC of it is up to 2 MB; where it is not, nothing speaks for a cut. */
    s.MC = s.a == A_PACKED ? A_PACKED_BYTES / (s.KC * (int64_t)sizeof(real)) : INT64_MAX / 2;
    return s;
}
