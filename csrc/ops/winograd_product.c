#include "ops/winograd.h"

#include "ops/panels.h"

void winograd_products(tile_args t, tile_kind kind, int64_t rows, int64_t cols, bool add,
                       int64_t a_step, int64_t b_step, int64_t out_step)
{
    const int64_t whole = cols / TILE_COLS, rest = cols - whole * TILE_COLS;
    const tiling cut = cut_rows(rows);
    const real *a = t.a, *b = t.b;
    real *out = t.out;
    t.factor = 1;
    t.start_rs = t.out_rs;
    t.out_step = TILE_COLS;
    t.last = first_lanes(LANES);
    for (int f = 0; f < FREQUENCIES; f++, a += a_step, b += b_step, out += out_step)
        for (int64_t i = 0; i < cut.tiles; i++) {
            const int64_t row = tile_begin(&cut, i);
            const int height = (int)tile_height(&cut, i);
            t.a = a + row * t.a_rs;
            t.b = b;
            t.out = out + row * t.out_rs;
            t.start = add ? t.out : NULL;
            t.count = whole;
            if (whole > 0) run_tiles(height, TILE_VECS, false, kind, &t);
            if (rest == 0) continue;
            t.b += whole * t.b_step;
            t.out += whole * TILE_COLS;
            t.start = add ? t.out : NULL;
            t.count = 1;
            run_tiles(height, (int)ceil_div(rest, LANES), false, kind, &t);
        }
}
