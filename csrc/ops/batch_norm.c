/* Batch norm: Ioffe and Szegedy 2015. Statistics by chunks of rows, then a pass that scales, backwards:
 * from what the first has left in the caches. */
#include <math.h>

#include "ops/norm_columns.h"

static int64_t chunk_count(int64_t P, int64_t C)
{
    return ceil_div(P, columns_of(C).chunk_rows);
}

/* In the workspace: lines of coefficients, two doubles per column and chunk, scratch per member. */
typedef struct layout {
    columns k;
    int64_t chunks;
    real *lines; /* LINES of them */
    double *first, *second;
    real *scratch;
} layout;

enum { LINES = 4 };

static int64_t doubles_of(const columns *k, int64_t chunks)
{
    return 2 * chunks * k->C;
}

static fnn_plan plan(int64_t P, int64_t C, int max_members)
{
    const columns k = columns_of(C);
    const int64_t chunks = chunk_count(P, C);
    const int members = members_for(saturating_mul(P, C), SIZE_PER_MEMBER,
                                    (int)min_i64(max_members, max_i64(chunks, 1)));
    const int64_t reals = LINES * k.line + members * round_up(column_scratch(&k), LINE);
    return (fnn_plan){members, (size_t)doubles_of(&k, chunks) * sizeof(double) +
                                   (size_t)reals * sizeof(real)};
}

static layout layout_of(int64_t P, int64_t C, const fnn_team *team)
{
    layout w = {.k = columns_of(C), .chunks = chunk_count(P, C)};
    w.first = team->workspace;
    w.second = w.first + w.chunks * C;
    w.lines = (real *)(w.first + doubles_of(&w.k, w.chunks));
    w.scratch = w.lines + LINES * w.k.line + team->rank * round_up(column_scratch(&w.k), LINE);
    return w;
}

static int64_t rows_of(const layout *w, int64_t P, int64_t chunk)
{
    return min_i64(w->k.chunk_rows, P - chunk * w->k.chunk_rows);
}

/* ---- forward ------------------------------------------------------------------------------------- */

fnn_plan VARIANT(batch_norm_forward_plan)(const void *args, int max_members)
{
    const fnn_batch_norm_forward_args *a = args;
    return plan(a->P, a->C, max_members);
}

static void move_towards(double value, double momentum, real *running)
{
    *running = (real)((double)*running + momentum * (value - (double)*running));
}

/* Statistics of the batch, of one column; the running ones follow. */
static void finish_statistics(const fnn_batch_norm_forward_args *a, const layout *w, int64_t c)
{
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < w->chunks; i++) {
        const int64_t before = i * w->k.chunk_rows;
        combine(before, min_i64(w->k.chunk_rows, a->P - before), w->first[i * a->C + c],
                w->second[i * a->C + c], &mean, &squares);
    }
    a->mean[c] = mean;
    a->inv_std[c] = 1 / sqrt(squares / (double)max_i64(a->P, 1) + a->eps);
    if (!a->running_mean || a->P < 2) return;
    const double momentum = a->batches ? 1 / ((double)*a->batches + 1) : a->momentum;
    move_towards(mean, momentum, (real *)a->running_mean + c);
    move_towards(squares / (double)(a->P - 1), momentum, (real *)a->running_var + c);
}

/* y = (x - mean) * scale + bias with mean = center + low: shift = bias - low * scale. */
__attribute__((cold)) static void forward_coefficients(const fnn_batch_norm_forward_args *a,
                                                       layout *w, range own)
{
    real *center = w->lines, *scale = center + w->k.line, *shift = scale + w->k.line;
    for (int64_t c = own.begin; c < own.end; c++) {
        double mean, inv_std;
        if (a->training) {
            finish_statistics(a, w, c);
            mean = a->mean[c];
            inv_std = a->inv_std[c];
        } else {
            mean = (double)((const real *)a->running_mean)[c];
            inv_std = 1 / sqrt((double)((const real *)a->running_var)[c] + a->eps);
        }
        const double by = inv_std * or_one(a->weight, c);
        center[c] = (real)mean;
        scale[c] = (real)by;
        shift[c] = (real)(or_zero(a->bias, c) - (mean - (double)center[c]) * by);
    }
}

void VARIANT(batch_norm_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_batch_norm_forward_args *a = args;
    if (a->C == 0) return;
    layout w = layout_of(a->P, a->C, team);
    const columns *k = &w.k;
    const real *x = a->x;
    const range chunks = split(w.chunks, 1, team->rank, team->size);
    if (a->training) {
        for (int64_t i = chunks.begin; i < chunks.end; i++)
            column_moments(k, x + i * k->chunk_rows * a->C, rows_of(&w, a->P, i), w.scratch,
                           w.first + i * a->C, w.second + i * a->C);
        fnn_team_barrier(team);
    }
    forward_coefficients(a, &w, split(a->C, LINE, team->rank, team->size));
    fnn_team_barrier(team);
    const column_scale by = {w.lines, w.lines + k->line, w.lines + 2 * k->line};
    if (team->rank == 0)
        for (int i = 0; i < LINES - 1; i++) repeat(k, w.lines + i * k->line);
    fnn_team_barrier(team);
    const bool past_caches = stream_past(k, a->P, a->y);
    for (int64_t i = chunks.end - 1; i >= chunks.begin; i--)
        scale_columns(k, &by, x + i * k->chunk_rows * a->C, rows_of(&w, a->P, i), a->relu,
                      past_caches, (real *)a->y + i * k->chunk_rows * a->C);
    if (past_caches) stream_end();
}

/* ---- backward ------------------------------------------------------------------------------------ */

fnn_plan VARIANT(batch_norm_backward_plan)(const void *args, int max_members)
{
    const fnn_batch_norm_backward_args *a = args;
    return plan(a->P, a->C, max_members);
}

/* Forward was y = xhat * weight + bias, xhat = (x - mean) * inv_std; mean and inv_std depend on every
 * x, so dx = weight * inv_std * (dy - mean of dy - xhat * mean of dy * xhat).
 * With d = x - center, mean = center + low: dx = dy * dy_scale + (d * x_scale + shift). */
__attribute__((cold)) static void backward_coefficients(const fnn_batch_norm_backward_args *a,
                                                        layout *w, range own)
{
    const real *center = w->lines;
    real *dy_scale = w->lines + w->k.line, *x_scale = dy_scale + w->k.line;
    real *shift = x_scale + w->k.line;
    const double share = 1 / (double)max_i64(a->P, 1);
    for (int64_t c = own.begin; c < own.end; c++) {
        double sum = 0, product = 0;
        for (int64_t i = 0; i < w->chunks; i++) {
            sum += w->first[i * a->C + c];
            product += w->second[i * a->C + c];
        }
        const double low = a->mean[c] - (double)center[c], inv_std = a->inv_std[c];
        const double dweight = inv_std * (product - low * sum);
        const double by = inv_std * or_one(a->weight, c), slope = inv_std * dweight * share;
        ((real *)a->dweight)[c] = (real)dweight;
        ((real *)a->dbias)[c] = (real)sum;
        dy_scale[c] = (real)by;
        x_scale[c] = (real)(-by * slope);
        shift[c] = (real)(by * (low * slope - sum * share));
    }
}

void VARIANT(batch_norm_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_batch_norm_backward_args *a = args;
    if (a->C == 0) return;
    layout w = layout_of(a->P, a->C, team);
    const columns *k = &w.k;
    const real *dy = a->dy, *x = a->x, *y = a->y;
    if (team->rank == 0) {
        for (int64_t c = 0; c < a->C; c++) w.lines[c] = (real)a->mean[c];
        repeat(k, w.lines);
    }
    fnn_team_barrier(team);
    const range chunks = split(w.chunks, 1, team->rank, team->size);
    for (int64_t i = chunks.begin; i < chunks.end; i++) {
        const int64_t at = i * k->chunk_rows * a->C;
        column_products(k, dy + at, x + at, y ? y + at : NULL, w.lines, rows_of(&w, a->P, i),
                        w.scratch, w.first + i * a->C, w.second + i * a->C);
    }
    fnn_team_barrier(team);
    backward_coefficients(a, &w, split(a->C, LINE, team->rank, team->size));
    fnn_team_barrier(team);
    if (team->rank == 0)
        for (int i = 1; i < LINES; i++) repeat(k, w.lines + i * k->line);
    fnn_team_barrier(team);
    const column_gradient by = {w.lines, w.lines + k->line, w.lines + 2 * k->line,
                                w.lines + 3 * k->line};
    const bool past_caches = stream_past(k, a->P, a->dx);
    for (int64_t i = chunks.end - 1; i >= chunks.begin; i--) {
        const int64_t at = i * k->chunk_rows * a->C;
        combine_columns(k, &by, dy + at, x + at, y ? y + at : NULL, rows_of(&w, a->P, i),
                        past_caches, (real *)a->dx + at);
    }
    if (past_caches) stream_end();
}
