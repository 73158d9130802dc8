/* What the passes of a depthwise convolution read: copies of rows, and filters. */
#include "ops/conv_depthwise.h"

/* Geometries whose band fits a cache. bench_depthwise.py: more than 40 times as fast as products
 * with patches of one channel, on AVX2. */
bool depthwise_takes(const fnn_conv2d_shape *s)
{
    enum { LONGEST = 1 << 14, LARGEST_BAND = 1 << 20 };
    if (s->groups != s->C || s->O != s->C || s->C < 2) return false;
    const int64_t reach_h = (s->KH - 1) * s->dilation_h, reach_w = (s->KW - 1) * s->dilation_w;
    if (s->KH > MAX_ROWS || reach_h > LONGEST || reach_w > LONGEST || s->W > LONGEST) return false;
    if (s->stride_h > MAX_STRIDE || s->stride_w > MAX_STRIDE) return false;
    const int64_t width /* no pass has a wider one */ =
        s->pad_left + s->W + (s->OW + TILE) * s->stride_w + reach_w + TILE;
    return width * (reach_h + 1) * LINE * (int64_t)sizeof(real) <= LARGEST_BAND;
}

void lay_out_filters(const fnn_conv2d_shape *s, const real *w, range lines, bool turned,
                     real *filters)
{
    const int64_t taps = s->KH * s->KW;
    for (int64_t g = lines.begin; g < lines.end; g++) {
        real *to = filters + g * taps * LINE;
        const int64_t channels = min_i64(LINE, s->C - g * LINE);
        const source from = strided_source(w + g * LINE * taps, 1, taps);
        source_copy(&from, 0, taps, 0, channels, to, LINE);
        for (int64_t k = 0; k < taps && channels < LINE; k++)
            for (int64_t c = channels; c < LINE; c++) to[k * LINE + c] = 0;
        for (int64_t k = 0, other = taps - 1; turned && k < other; k++, other--)
            for (int64_t c = 0; c < LINE; c++) {
                const real tap = to[k * LINE + c];
                to[k * LINE + c] = to[other * LINE + c];
                to[other * LINE + c] = tap;
            }
    }
}

static void zero_pixels(int64_t pixels, real *to)
{
    for (int64_t i = 0; i < pixels; i++)
        for (int c = 0; c < LINE; c++) to[i * LINE + c] = 0;
}

void band_begin(band *b, real *memory)
{
    b->next = 0;
    b->rows = memory;
    for (int64_t i = 0; i < b->planes; i++)
        zero_pixels(b->width, memory + i * plane_size(b) + b->count * b->width * LINE);
}

/* `lines` lines of channels of each pixel, neighbours in memory. */
static inline __attribute__((always_inline)) void copy_lines(const real *from, int64_t pixels,
                                                             int64_t C, const int lines,
                                                             int64_t plane, real *restrict to)
{
    for (int64_t i = 0; i < pixels; i++, from += C, to += LINE)
#pragma GCC unroll 2
        for (int line = 0; line < lines; line++)
#pragma GCC unroll 4
            for (int v = 0; v < LINE_VECS; v++)
                *(vec *)(to + line * plane + v * LANES) =
                    *(const vec *)(from + line * LINE + v * LANES);
}

void copy_pixels(const real *from, int64_t W, int64_t C, int64_t channels, int64_t first,
                 int64_t width, int64_t plane, real *restrict to)
{
    const int64_t begin = min_i64(width, max_i64(0, -first));
    const int64_t end = max_i64(begin, min_i64(width, W - first));
    const int64_t lines = channels / LINE, rest = channels % LINE;
    from += (begin + first) * C;
    int64_t line = 0;
    for (; line + 2 <= lines; line += 2)
        copy_lines(from + line * LINE, end - begin, C, 2, plane, to + line * plane + begin * LINE);
    if (line < lines)
        copy_lines(from + line * LINE, end - begin, C, 1, plane, to + line * plane + begin * LINE);
    if (rest > 0)
        for (int64_t i = begin; i < end; i++)
            for (int64_t c = 0; c < LINE; c++)
                to[lines * plane + i * LINE + c] =
                    c < rest ? from[(i - begin) * C + lines * LINE + c] : 0;
    for (line = 0; line * LINE < channels; line++) {
        zero_pixels(begin, to + line * plane);
        zero_pixels(width - end, to + line * plane + end * LINE);
    }
}

void band_rows(band *b, const real *image, int64_t H, int64_t W, int64_t C, int64_t channels,
               int64_t oldest, int64_t top, int64_t spacing, int64_t rows,
               const real *found[MAX_ROWS])
{
    const int64_t pitch = b->width * LINE, end = min_i64(H, top + (rows - 1) * spacing + 1);
    const int64_t new = max_i64(max_i64(0, oldest), b->next);
    for (int64_t h = new, at = new % b->count; h < end; h++, at = at + 1 < b->count ? at + 1 : 0)
        copy_pixels(image + h * W * C, W, C, channels, b->first, b->width, plane_size(b),
                    b->rows + at * pitch);
    b->next = max_i64(b->next, end);
    const int64_t above = min_i64(rows, top < 0 ? ceil_div(-top, spacing) : 0);
    int64_t at = (top + above * spacing) % b->count;
    for (int64_t r = 0; r < rows; r++) {
        const bool inside = r >= above && top + r * spacing < H;
        found[r] = b->rows + (inside ? at : b->count) * pitch;
        if (inside) at += spacing;
        if (at >= b->count) at -= b->count;
    }
}
