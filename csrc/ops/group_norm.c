/* Group norm: Wu and He 2018. Statistics of columns, image by image, combined over a group. */
#include <math.h>

#include "ops/norm_columns.h"

/* Members take chunks of images, whose gradients of weight and bias add up in order. */
typedef struct layout {
    columns k;
    int64_t images, chunks;  /* images of a chunk */
    double *dweight, *dbias; /* (chunks, C), backward */
    double *first, *second;  /* (C), of this member, as what follows */
    real *lines;             /* LINES of them */
    real *scratch;
} layout;

enum { LINES = 4 };

static layout measures(int64_t N, int64_t P, int64_t C)
{
    layout w = {.k = columns_of(C)};
    w.images = max_i64(1, SIZE_PER_MEMBER / max_i64(saturating_mul(P, C), 1));
    w.chunks = ceil_div(N, w.images);
    return w;
}

/* Reals and doubles of one member, in doubles. */
static int64_t member_size(const columns *k)
{
    return round_up(2 * k->C + LINES * k->line + column_scratch(k), LINE);
}

static fnn_plan plan(int64_t N, int64_t P, int64_t C, bool backward, int max_members)
{
    const layout w = measures(N, P, C);
    const int64_t work = saturating_mul(N, saturating_mul(P, C));
    const int members =
        members_for(work, SIZE_PER_MEMBER, (int)min_i64(max_members, max_i64(w.chunks, 1)));
    const int64_t shared = backward ? 2 * w.chunks * C : 0;
    return (fnn_plan){members, (size_t)(shared + members * member_size(&w.k)) * sizeof(double)};
}

static layout layout_of(int64_t N, int64_t P, int64_t C, bool backward, const fnn_team *team)
{
    layout w = measures(N, P, C);
    w.dweight = team->workspace;
    w.dbias = w.dweight + (backward ? w.chunks * C : 0);
    double *own = w.dbias + (backward ? w.chunks * C : 0) + team->rank * member_size(&w.k);
    w.first = own;
    w.second = w.first + C;
    w.lines = (real *)(w.second + C);
    w.scratch = w.lines + LINES * w.k.line;
    return w;
}

static void repeat_lines(const layout *w, int first, int end)
{
    for (int i = first; i < end; i++) repeat(&w->k, w->lines + i * w->k.line);
}

/* ---- forward ------------------------------------------------------------------------------------- */

fnn_plan VARIANT(group_norm_forward_plan)(const void *args, int max_members)
{
    const fnn_group_norm_forward_args *a = args;
    return plan(a->N, a->P, a->C, false, max_members);
}

/* y = (x - mean) * scale + bias with mean = center + low: shift = bias - low * scale. */
__attribute__((cold)) static void forward_coefficients(const fnn_group_norm_forward_args *a,
                                                       const layout *w, int64_t n)
{
    real *center = w->lines, *scale = center + w->k.line, *shift = scale + w->k.line;
    const int64_t size = a->C / a->groups;
    for (int64_t g = 0; g < a->groups; g++) {
        double mean = 0, squares = 0;
        for (int64_t i = 0; i < size && a->P > 0; i++)
            combine(i * a->P, a->P, w->first[g * size + i], w->second[g * size + i], &mean,
                    &squares);
        const double count = (double)max_i64(size * a->P, 1);
        const double inv_std = 1 / sqrt(squares / count + a->eps);
        a->mean[n * a->groups + g] = mean;
        a->inv_std[n * a->groups + g] = inv_std;
        for (int64_t c = g * size; c < (g + 1) * size; c++) {
            const double by = inv_std * or_one(a->weight, c);
            center[c] = (real)mean;
            scale[c] = (real)by;
            shift[c] = (real)(or_zero(a->bias, c) - (mean - (double)center[c]) * by);
        }
    }
    repeat_lines(w, 0, 3);
}

void VARIANT(group_norm_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_group_norm_forward_args *a = args;
    const layout w = layout_of(a->N, a->P, a->C, false, team);
    const column_scale by = {w.lines, w.lines + w.k.line, w.lines + 2 * w.k.line};
    const range images = split(a->N, w.images, team->rank, team->size);
    for (int64_t n = images.begin; n < images.end; n++) {
        const real *x = (const real *)a->x + n * a->P * a->C;
        if (a->C > 0) column_moments(&w.k, x, a->P, w.scratch, w.first, w.second);
        forward_coefficients(a, &w, n);
        scale_columns(&w.k, &by, x, a->P, false, false, (real *)a->y + n * a->P * a->C);
    }
}

/* ---- backward ------------------------------------------------------------------------------------ */

fnn_plan VARIANT(group_norm_backward_plan)(const void *args, int max_members)
{
    const fnn_group_norm_backward_args *a = args;
    return plan(a->N, a->P, a->C, true, max_members);
}

/* Forward was y = xhat * weight + bias, xhat = (x - mean) * inv_std, so with g = dy * weight
 * dx = inv_std * (g - mean of g - xhat * mean of g * xhat), means over pixels and the group.
 * With d = x - center, mean = center + low: dx = dy * dy_scale + (d * x_scale + shift). */
__attribute__((cold)) static void backward_coefficients(const fnn_group_norm_backward_args *a,
                                                        const layout *w, int64_t n, double *dweight,
                                                        double *dbias)
{
    const real *center = w->lines;
    real *dy_scale = w->lines + w->k.line, *x_scale = dy_scale + w->k.line;
    real *shift = x_scale + w->k.line;
    const int64_t size = a->C / a->groups;
    for (int64_t g = 0; g < a->groups; g++) {
        const double mean = a->mean[n * a->groups + g], inv_std = a->inv_std[n * a->groups + g];
        double sum = 0, product = 0; /* of g, of g * xhat */
        for (int64_t c = g * size; c < (g + 1) * size; c++) {
            const double low = mean - (double)center[c];
            const double dot = inv_std * (w->second[c] - low * w->first[c]);
            dweight[c] += dot;
            dbias[c] += w->first[c];
            sum += or_one(a->weight, c) * w->first[c];
            product += or_one(a->weight, c) * dot;
        }
        const double share = inv_std / (double)max_i64(size * a->P, 1), slope = inv_std * product;
        for (int64_t c = g * size; c < (g + 1) * size; c++) {
            dy_scale[c] = (real)(inv_std * or_one(a->weight, c));
            x_scale[c] = (real)(-share * slope);
            shift[c] = (real)(share * ((mean - (double)center[c]) * slope - sum));
        }
    }
    repeat_lines(w, 1, LINES);
}

/* Images of one chunk. */
static void backward_chunk(const fnn_group_norm_backward_args *a, const layout *w, range images,
                           double *dweight, double *dbias)
{
    const int64_t line = w->k.line, size = a->P * a->C;
    real *center = w->lines;
    const column_gradient by = {center, center + line, center + 2 * line, center + 3 * line};
    for (int64_t c = 0; c < a->C; c++) dweight[c] = dbias[c] = 0;
    for (int64_t n = images.begin; n < images.end; n++) {
        const real *dy = (const real *)a->dy + n * size, *x = (const real *)a->x + n * size;
        for (int64_t c = 0; c < a->C; c++)
            center[c] = (real)a->mean[n * a->groups + c / (a->C / a->groups)];
        repeat_lines(w, 0, 1);
        column_products(&w->k, dy, x, NULL, center, a->P, w->scratch, w->first, w->second);
        backward_coefficients(a, w, n, dweight, dbias);
        combine_columns(&w->k, &by, dy, x, NULL, a->P, false, (real *)a->dx + n * size);
    }
}

void VARIANT(group_norm_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_group_norm_backward_args *a = args;
    if (a->C == 0) return;
    const layout w = layout_of(a->N, a->P, a->C, true, team);
    const range chunks = split(w.chunks, 1, team->rank, team->size);
    for (int64_t i = chunks.begin; i < chunks.end; i++)
        backward_chunk(a, &w, (range){i * w.images, min_i64(a->N, (i + 1) * w.images)},
                       w.dweight + i * a->C, w.dbias + i * a->C);
    fnn_team_barrier(team);
    const range own = split(a->C, LINE, team->rank, team->size);
    for (int64_t c = own.begin; c < own.end; c++) {
        double dweight = 0, dbias = 0;
        for (int64_t i = 0; i < w.chunks; i++) {
            dweight += w.dweight[i * a->C + c];
            dbias += w.dbias[i * a->C + c];
        }
        ((real *)a->dweight)[c] = (real)dweight;
        ((real *)a->dbias)[c] = (real)dbias;
    }
}
