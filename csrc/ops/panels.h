/* Blocks of a product's operands, laid out as tiles read them. */
#ifndef FNN_PANELS_H
#define FNN_PANELS_H

#include "ops/source.h"
#include "ops/tile.h"

/* Rows cut in tiles of nearly equal height: 16 are 8 + 8, not 12 + 4. The first `high` are low + 1
 * rows, the others `low`. */
typedef struct tiling {
    int64_t tiles, low, high;
} tiling;

static inline tiling cut_rows(int64_t rows)
{
    const int64_t tiles = ceil_div(rows, TILE_ROWS);
    if (tiles == 1) return (tiling){1, rows, 0};
    const int64_t low = rows / tiles;
    return (tiling){tiles, low, rows - low * tiles};
}

static inline int64_t tile_height(const tiling *c, int64_t tile)
{
    return c->low + (tile < c->high);
}

static inline int64_t tile_begin(const tiling *c, int64_t tile)
{
    return tile * c->low + (tile < c->high ? tile : c->high);
}

/* Rows of a from m on, interleaved tile by tile:
 * to[t * packed_rows_size(kc) + k * TILE_ROWS + i] = alpha * a[m + tile_begin(t) + i, k0 + k].
 * In each tile a little behind the end is written too. */
#define pack_rows VARIANT(pack_rows)
void pack_rows(const source *a, int64_t m, const tiling *cut, int64_t k0, int64_t kc, real alpha,
               real *to);

static inline int64_t packed_rows_size(int64_t kc)
{
    return kc * TILE_ROWS + LANES;
}

/* Columns [n, n + nc) of b in panels of TILE_COLS, the last one filled up with zeros to whole
 * vectors: panel p begins at to + p * TILE_COLS * kc, and in it row k, column j is at [k * width +
 * j]. */
#define pack_columns VARIANT(pack_columns)
void pack_columns(const source *b, int64_t k0, int64_t kc, int64_t n, int64_t nc, real *to);

#endif
