#include "ops/product.h"
#include "ops/tile.h"

_Static_assert(TILE_COLS * sizeof(real) <= FNN_PANEL_BYTES, "fnn_packed_size has too little room");

fnn_plan VARIANT(pack_plan)(const void *args, int max_members)
{
    const fnn_pack_args *p = args;
    return (fnn_plan){members_for(saturating_mul(p->K, p->N), SIZE_PER_MEMBER, max_members), 0};
}

void VARIANT(pack_run)(const void *args, const fnn_team *team)
{
    const fnn_pack_args *p = args;
    const source b = strided_source(p->b, p->b_rs, p->b_cs);
    const range cols = split(p->N, TILE_COLS, team->rank, team->size);
    product_pack(&b, p->K, p->N, cols, p->packed);
}
