/* fastnn: neural-network kernels for CPUs. The public C API.
 *
 * Every kernel is one function taking a dtype and one args struct. Arrays are raw pointers with
 * strides in elements, images are NHWC, convolution weights OHWI. Sizes are non-negative; the
 * caller has checked shapes, labels and overlaps: kernels trust their arguments. A kernel either
 * computes its result and returns FNN_OK, or finds no memory for its workspace, returns FNN_ENOMEM
 * and has written nothing. Results do not depend on the number of threads.
 *
 * Letters: N batch, I O features in and out, H W C KH KW image and filter, M N K for products;
 * dx is the gradient with respect to x. */
#ifndef FASTNN_H
#define FASTNN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* FNN_NOT_FINITE: a program has stopped at fnn_require_finite. */
typedef enum fnn_status { FNN_OK, FNN_ENOMEM, FNN_NOT_FINITE } fnn_status;
typedef enum fnn_dtype { FNN_F32, FNN_F64, FNN_DTYPES } fnn_dtype;

typedef enum fnn_activation {
    FNN_IDENTITY,
    FNN_RELU,    /* max(x, 0), NaN stays NaN */
    FNN_SIGMOID, /* 1 / (1 + exp(-x)) */
    FNN_TANH,
    FNN_SCALED_TANH, /* 1.7159 tanh(2x/3): LeCun et al. 1998, section II.B and appendix A */
    /* Those below are no epilogues of other ops; p are their parameters. */
    FNN_LEAKY_RELU,   /* x > 0 ? x : p0 x */
    FNN_HARD_SIGMOID, /* min(max(x + 3, 0), 6) / 6 */
    FNN_HARD_SWISH,   /* x hard_sigmoid(x) */
    FNN_HARD_TANH,    /* min(max(x, p0), p1) */
    FNN_THRESHOLD,    /* x > p0 ? x : p1 */
    FNN_SOFTSIGN,     /* x / (1 + |x|) */
    FNN_ELU,          /* p0 (x > 0 ? x : p1 (exp(x / p2) - 1)) */
    FNN_EXP,
    FNN_LOG,
    FNN_SOFTPLUS,    /* p0 x > p1 ? x : log(1 + exp(p0 x)) / p0 */
    FNN_LOG_SIGMOID, /* -log(1 + exp(-x)) */
    FNN_SILU,        /* x sigmoid(x) */
    FNN_MISH,        /* x tanh(log(1 + exp(x))) */
    FNN_GELU,        /* x Phi(x), Phi the normal distribution */
    FNN_GELU_TANH,   /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    FNN_ACTIVATIONS,
} fnn_activation;

enum { FNN_ACTIVATION_PARAMETERS = 3 };

/* ---- products ---------------------------------------------------------------------------- */

/* for i < M, j < N:
 *     acc = beta * c[i,j]                        (0 when beta == 0: then c is not read)
 *     for k < K ascending: acc = fma(alpha * a[i,k], b[k,j], acc)
 *     y = activation(acc + bias[i,j])            (bias may be NULL)
 *     mask_out[i,j] = y != 0                     (mask_out may be NULL)
 *     out[i,j] = mask[i,j] ? y : 0               (mask may be NULL)
 * Each line rounds once (the baseline x86-64 variant has no FMA: there the product rounds too).
 * `out` may be `c`; it overlaps nothing else. */
typedef struct fnn_gemm_args {
    int64_t M, N, K;
    const void *a; /* (M, K): a[i * a_rs + k * a_cs] */
    int64_t a_rs, a_cs;
    const void *b; /* (K, N); or what fnn_pack made of it, and the strides are not read */
    int64_t b_rs, b_cs;
    bool b_packed;
    const void *c; /* (M, N) */
    int64_t c_rs, c_cs;
    const void *bias; /* one per column (bias_rs = 0) or per row (bias_cs = 0), or NULL */
    int64_t bias_rs, bias_cs;
    const uint8_t *mask; /* (M, N), contiguous */
    uint8_t *mask_out;   /* (M, N), contiguous */
    void *out;           /* (M, N) */
    int64_t out_rs, out_cs;
    double alpha, beta;
    fnn_activation activation;
} fnn_gemm_args;

fnn_status fnn_gemm(fnn_dtype dtype, const fnn_gemm_args *args);

/* A matrix laid out as products read it, for those that share it. */
typedef struct fnn_pack_args {
    int64_t K, N;
    const void *b; /* (K, N): b[k * b_rs + j * b_cs] */
    int64_t b_rs, b_cs;
    void *packed; /* fnn_packed_size bytes, aligned to 64 */
} fnn_pack_args;

/* Valid in this process alone: the layout depends on the instruction set. */
fnn_status fnn_pack(fnn_dtype dtype, const fnn_pack_args *args);
/* SIZE_MAX where no memory holds it. */
size_t fnn_packed_size(fnn_dtype dtype, int64_t K, int64_t N);

#define FNN_MAX_BATCH_DIMS 32

/* For every index i of the batch, the product of (M, K) by (K, N) that `product` describes, its a, b
 * and out moved by the sum of i[d] * a_strides[d] and so on. A stride of 0 uses one matrix again and
 * again; out has none, and no two of its matrices overlap. */
typedef struct fnn_matmul_args {
    fnn_gemm_args product;
    int dims;
    int64_t shape[FNN_MAX_BATCH_DIMS];
    int64_t a_strides[FNN_MAX_BATCH_DIMS], b_strides[FNN_MAX_BATCH_DIMS];
    int64_t out_strides[FNN_MAX_BATCH_DIMS];
} fnn_matmul_args;

fnn_status fnn_matmul(fnn_dtype dtype, const fnn_matmul_args *args);

/* for o < O: db[o] = (accumulate ? db[o] : 0) + sum over p < P of dy[p,o]
 * The sum over p is cut in chunks by P alone; each is summed in order, then the chunks are. */
typedef struct fnn_bias_backward_args {
    int64_t P, O;
    const void *dy; /* (P, O) contiguous */
    void *db;       /* (O) contiguous */
    bool accumulate;
} fnn_bias_backward_args;

fnn_status fnn_bias_backward(fnn_dtype dtype, const fnn_bias_backward_args *args);

/* ---- convolution ------------------------------------------------------------------------- */

/* How a convolution is computed. */
typedef enum fnn_conv_algorithm {
    FNN_CONV_AUTO,      /* by geometry, dtype and instruction set */
    FNN_CONV_IM2COL,    /* as a product with image patches */
    FNN_CONV_DIRECT,    /* from rows of the images: few channels */
    FNN_CONV_DEPTHWISE, /* of one filter per channel: over vectors of channels */
    FNN_CONV_WINOGRAD,  /* stride 1 by fewer multiplications: not one chain per output */
    FNN_CONV_ALGORITHMS
} fnn_conv_algorithm;

typedef enum fnn_conv_pass {
    FNN_CONV_FORWARD,
    FNN_CONV_BACKWARD_INPUT,
    FNN_CONV_BACKWARD_WEIGHT,
    FNN_CONV_PASSES
} fnn_conv_pass;

/* Geometry shared by the convolution kernels. Arrays are contiguous:
 * x (N, H, W, C), w (O, KH, KW, C / groups), y (N, OH, OW, O). */
typedef struct fnn_conv2d_shape {
    int64_t N, H, W, C;
    int64_t O, KH, KW;
    int64_t OH, OW;
    int64_t stride_h, stride_w;
    int64_t pad_top, pad_left; /* bottom and right follow from OH and OW */
    int64_t dilation_h, dilation_w;
    int64_t groups;
    fnn_conv_algorithm algorithm; /* AUTO or IM2COL */
} fnn_conv2d_shape;

/* y[n,oh,ow,o] = activation(bias[o] + sum over kh, kw, c of x[n,h,w,g*Cg+c] * w[o,kh,kw,c]),
 * h = oh*stride_h - pad_top + kh*dilation_h (w likewise), x = 0 outside the image, g the group of
 * o. The sum is one fma chain from 0 over (kh, kw, c) ascending, except by FNN_CONV_WINOGRAD. */
typedef struct fnn_conv2d_forward_args {
    fnn_conv2d_shape shape;
    const void *x, *w, *bias; /* bias (O) or NULL */
    void *y;
    fnn_activation activation;
} fnn_conv2d_forward_args;

fnn_status fnn_conv2d_forward(fnn_dtype dtype, const fnn_conv2d_forward_args *args);

/* dx[n,h,w,c] = activation(bias[c] + sum over (oh, ow, o) ascending, one chain (except by
 * FNN_CONV_WINOGRAD), of dy[n,oh,ow,o] * w[o,kh,kw,c]) for the outputs (oh, ow) that read pixel
 * (h, w), through tap (kh, kw). bias and activation are for a transposed convolution, which is
 * this; a gradient has neither. Where w is not finite, zeros in place of outputs beside dy may show
 * as NaN. */
typedef struct fnn_conv2d_backward_input_args {
    fnn_conv2d_shape shape;
    const void *dy, *w, *bias; /* bias (C) or NULL */
    void *dx;
    fnn_activation activation;
} fnn_conv2d_backward_input_args;

fnn_status fnn_conv2d_backward_input(fnn_dtype dtype, const fnn_conv2d_backward_input_args *args);

/* dw[o,kh,kw,c] = (accumulate ? dw : 0) + sum over pixels (n, oh, ow) of dy[n,oh,ow,o] *
 * x[n,h,w,c]. The pixels are cut in chunks by the shape alone; each chunk is one fma chain (not by
 * FNN_CONV_WINOGRAD); chunks add in order. (One chunk alone is a chain that starts at dw.) */
typedef struct fnn_conv2d_backward_weight_args {
    fnn_conv2d_shape shape;
    const void *dy, *x;
    void *dw;
    bool accumulate;
} fnn_conv2d_backward_weight_args;

fnn_status fnn_conv2d_backward_weight(fnn_dtype dtype, const fnn_conv2d_backward_weight_args *args);

/* What FNN_CONV_AUTO comes to. */
typedef struct fnn_conv2d_choice_args {
    fnn_conv2d_shape shape;
    fnn_conv_pass pass;
    fnn_conv_algorithm *chosen;
} fnn_conv2d_choice_args;

fnn_status fnn_conv2d_choice(fnn_dtype dtype, const fnn_conv2d_choice_args *args);

/* cols[p, (kh*KW + kw)*C + c] = x[n,h,w,c] (0 outside the image), p = (n*OH + oh)*OW + ow.
 * Uses shape with groups = 1; O is not read. */
typedef struct fnn_im2col_args {
    fnn_conv2d_shape shape;
    const void *x;
    void *cols;
} fnn_im2col_args;

fnn_status fnn_im2col(fnn_dtype dtype, const fnn_im2col_args *args);

/* dx[n,h,w,c] = sum of every cols entry that im2col copied from there, taps ascending. */
typedef struct fnn_col2im_args {
    fnn_conv2d_shape shape;
    const void *cols;
    void *dx;
} fnn_col2im_args;

fnn_status fnn_col2im(fnn_dtype dtype, const fnn_col2im_args *args);

/* ---- pooling ----------------------------------------------------------------------------- */

/* Windows as in fnn_conv2d_shape: O == C, dilation and groups are 1. Each sees a pixel. Those at the
 * bottom and on the right may reach beyond the padding (ceil_mode). */

/* y = the maximum of each window, indices (may be NULL) = kh*KW + kw of the first maximum, or of
 * the first NaN. Taps outside the image do not take part. With relu, y = max(y, 0), and indices are
 * 255 where the maximum is not above 0: no tap has that index, as there are at most 255. */
typedef struct fnn_max_pool2d_forward_args {
    fnn_conv2d_shape shape;
    const void *x;
    void *y;
    uint8_t *indices;
    bool relu;
} fnn_max_pool2d_forward_args;

fnn_status fnn_max_pool2d_forward(fnn_dtype dtype, const fnn_max_pool2d_forward_args *args);

/* dx[n,h,w,c] = sum of the dy whose window chose this pixel, windows ascending. */
typedef struct fnn_max_pool2d_backward_args {
    fnn_conv2d_shape shape;
    const void *dy;
    const uint8_t *indices;
    void *dx;
} fnn_max_pool2d_backward_args;

fnn_status fnn_max_pool2d_backward(fnn_dtype dtype, const fnn_max_pool2d_backward_args *args);

/* y = sum of each window, taps ascending, / (its taps inside the padded image, or inside the image
 * when !count_include_pad). Taps outside the image add nothing. */
typedef struct fnn_avg_pool2d_args {
    fnn_conv2d_shape shape;
    int64_t pad_bottom, pad_right;
    bool count_include_pad;
    const void *in; /* forward: x; backward: dy */
    void *out;      /* forward: y; backward: dx */
} fnn_avg_pool2d_args;

fnn_status fnn_avg_pool2d_forward(fnn_dtype dtype, const fnn_avg_pool2d_args *args);
fnn_status fnn_avg_pool2d_backward(fnn_dtype dtype, const fnn_avg_pool2d_args *args);

/* y = activation(fma(coefficient[c], sum of each window, bias[c])), taps ascending: LeCun et al.
 * 1998, section II.B. There is no padding. */
typedef struct fnn_subsample2d_forward_args {
    fnn_conv2d_shape shape;
    const void *x, *coefficient, *bias; /* (C) and (C) */
    void *y;
    fnn_activation activation;
} fnn_subsample2d_forward_args;

fnn_status fnn_subsample2d_forward(fnn_dtype dtype, const fnn_subsample2d_forward_args *args);

/* dx[n,h,w,c] = sum of coefficient[c] * dy, over the windows that see this pixel, ascending. */
typedef struct fnn_subsample2d_backward_input_args {
    fnn_conv2d_shape shape;
    const void *dy, *coefficient;
    void *dx;
} fnn_subsample2d_backward_input_args;

fnn_status fnn_subsample2d_backward_input(fnn_dtype dtype,
                                          const fnn_subsample2d_backward_input_args *args);

/* dcoefficient[c] = (accumulate ? dcoefficient[c] : 0) + sum over windows of dy * the window's sum.
 * The windows are cut in chunks by the shape alone; each chunk is one fma chain from 0; chunks add
 * in order. */
typedef struct fnn_subsample2d_backward_coefficient_args {
    fnn_conv2d_shape shape;
    const void *dy, *x;
    void *dcoefficient;
    bool accumulate;
} fnn_subsample2d_backward_coefficient_args;

fnn_status
fnn_subsample2d_backward_coefficient(fnn_dtype dtype,
                                     const fnn_subsample2d_backward_coefficient_args *args);

/* ---- normalisation ----------------------------------------------------------------------- */

/* Statistics are double whatever the dtype: a float would lose the digits that tell x from a mean
 * far from 0. Sums over elements are cut in blocks and chunks by the shape alone, whose means and
 * squared deviations combine in order (Chan, Golub and LeVeque 1983). */

/* y[p,c] = (x[p,c] - mean[c]) * inv_std[c] * weight[c] + bias[c], then max(y, 0) with relu
 * training: mean[c] over p < P, inv_std = 1 / sqrt(variance + eps), both written, and
 *     running_mean[c] += momentum * (mean - running_mean[c])
 *     running_var[c] += momentum * (variance * P / (P - 1) - running_var[c])
 * (not where P = 0); else mean and variance are running_mean and running_var. */
typedef struct fnn_batch_norm_forward_args {
    int64_t P, C;
    const void *x;                    /* (P, C) */
    const void *weight, *bias;        /* (C); NULL: 1 and 0 */
    void *running_mean, *running_var; /* (C); both may be NULL in training */
    double momentum, eps;
    const int64_t *batches; /* or NULL; else momentum is 1 / (*batches + 1) */
    bool training, relu;
    double *mean, *inv_std; /* (C), in training */
    void *y;                /* (P, C); may be x */
} fnn_batch_norm_forward_args;

fnn_status fnn_batch_norm_forward(fnn_dtype dtype, const fnn_batch_norm_forward_args *args);

/* With xhat = (x - mean) * inv_std, and dy = 0 where y <= 0:
 * dbias[c] = sum over p of dy[p,c], dweight[c] = sum over p of dy[p,c] * xhat[p,c]
 * dx[p,c] = weight[c] * inv_std[c] * (dy[p,c] - dbias[c] / P - xhat[p,c] * dweight[c] / P) */
typedef struct fnn_batch_norm_backward_args {
    int64_t P, C;
    const void *dy, *x, *y;       /* (P, C); y NULL: there was no relu */
    const void *weight;           /* (C) or NULL */
    const double *mean, *inv_std; /* (C) */
    void *dx;                     /* (P, C); may be dy */
    void *dweight, *dbias;        /* (C) */
} fnn_batch_norm_backward_args;

fnn_status fnn_batch_norm_backward(fnn_dtype dtype, const fnn_batch_norm_backward_args *args);

/* Batch norm of each image over its pixels and the channels of a group: mean and inv_std are those
 * of image n and of the group of c. */
typedef struct fnn_group_norm_forward_args {
    int64_t N, P, C, groups;   /* groups divides C */
    const void *x;             /* (N, P, C) */
    const void *weight, *bias; /* (C) or NULL */
    double eps;
    double *mean, *inv_std; /* (N, groups) */
    void *y;                /* (N, P, C); may be x */
} fnn_group_norm_forward_args;

fnn_status fnn_group_norm_forward(fnn_dtype dtype, const fnn_group_norm_forward_args *args);

typedef struct fnn_group_norm_backward_args {
    int64_t N, P, C, groups;
    const void *dy, *x;           /* (N, P, C) */
    const void *weight;           /* (C) or NULL */
    const double *mean, *inv_std; /* (N, groups) */
    void *dx;                     /* (N, P, C); may be dy */
    void *dweight, *dbias;        /* (C) */
} fnn_group_norm_backward_args;

fnn_status fnn_group_norm_backward(fnn_dtype dtype, const fnn_group_norm_backward_args *args);

/* y[n,i] = (x[n,i] - mean[n]) * inv_std[n] * weight[i] + bias[i], mean and variance over i < I.
 * mean NULL: root mean square norm, which stands for a mean of 0. */
typedef struct fnn_layer_norm_forward_args {
    int64_t N, I;
    const void *x;             /* (N, I) */
    const void *weight, *bias; /* (I) or NULL */
    double eps;
    double *mean, *inv_std; /* (N) */
    void *y;                /* (N, I); may be x */
} fnn_layer_norm_forward_args;

fnn_status fnn_layer_norm_forward(fnn_dtype dtype, const fnn_layer_norm_forward_args *args);

/* With g = dy * weight and xhat = (x - mean) * inv_std:
 * dx[n,i] = inv_std[n] * (g - mean over i of g - xhat * mean over i of g * xhat), the mean of g left
 * out where `mean` is NULL; dweight[i] = sum over n of dy * xhat, dbias[i] = sum over n of dy. */
typedef struct fnn_layer_norm_backward_args {
    int64_t N, I;
    const void *dy, *x;           /* (N, I) */
    const void *weight;           /* (I) or NULL */
    const double *mean, *inv_std; /* (N) */
    void *dx;                     /* (N, I); may be dy */
    void *dweight, *dbias;        /* (I); dbias may be NULL */
} fnn_layer_norm_backward_args;

fnn_status fnn_layer_norm_backward(fnn_dtype dtype, const fnn_layer_norm_backward_args *args);

/* With d[p,c] = k + alpha / size * sum of x[p,j]^2 over channels j from c - size / 2 to
 * c + (size - 1) / 2, those that exist, ascending:
 * forward: out = x * d^-beta
 * backward: out[p,j] = dy * d^-beta - 2 alpha beta / size * x * sum of dy * x * d^(-beta - 1) over
 * the channels c whose window holds j. */
typedef struct fnn_local_response_norm_args {
    int64_t P, C, size;
    double alpha, beta, k;
    const void *x;  /* (P, C) */
    const void *dy; /* (P, C), backward only */
    void *out;      /* (P, C); may be x, or dy */
} fnn_local_response_norm_args;

fnn_status fnn_local_response_norm_forward(fnn_dtype dtype,
                                           const fnn_local_response_norm_args *args);
fnn_status fnn_local_response_norm_backward(fnn_dtype dtype,
                                            const fnn_local_response_norm_args *args);

/* out[i] = random(offset + i) < threshold ? 0 : x[i] * scale, where random(j) is word j % 4 of
 * Philox 4x32-10 of counter j / 4 and key seed, both as four and two words, the lowest first. */
typedef struct fnn_dropout_args {
    int64_t size;
    const void *x;
    void *out; /* may be x */
    uint64_t seed, offset;
    const uint64_t *seed_at, *offset_at; /* where they are read when the op runs; NULL: above */
    uint32_t threshold;
    double scale;
} fnn_dropout_args;

fnn_status fnn_dropout(fnn_dtype dtype, const fnn_dropout_args *args);

/* ---- pointwise --------------------------------------------------------------------------- */

/* forward: out[i] = f(x[i]); `out` may be `x`.
 * backward: out[i] = dy[i] * f'(x[i]) computed from y = f(x), or, of FNN_HARD_SWISH, FNN_THRESHOLD,
 * FNN_SOFTSIGN, FNN_LOG and from FNN_SILU on, from x; `out` may be `dy` or the other. */
typedef struct fnn_activation_args {
    int64_t size;
    fnn_activation activation;
    double p[FNN_ACTIVATION_PARAMETERS]; /* of those that have some */
    const void *x;                       /* forward: x; backward: y or x */
    const void *dy;                      /* backward only */
    void *out;
} fnn_activation_args;

fnn_status fnn_activation_forward(fnn_dtype dtype, const fnn_activation_args *args);
fnn_status fnn_activation_backward(fnn_dtype dtype, const fnn_activation_args *args);

/* ---- softmax and losses ------------------------------------------------------------------- */

typedef enum fnn_softmax {
    FNN_SOFTMAX,     /* y = exp(x - max) / sum of the same */
    FNN_LOG_SOFTMAX, /* y = x - max - log(sum of exp(x - max)) */
    FNN_LOGSUMEXP,   /* y = max + log(sum of exp(x - max)), one for all C */
} fnn_softmax;

/* x is (N, C, inner), contiguous; max and sum run over its second axis, C > 0 for FNN_LOGSUMEXP.
 * forward: out = f(x). backward, y being f(x):
 *     FNN_SOFTMAX:     out = y * (dy - sum of dy * y)
 *     FNN_LOG_SOFTMAX: out = dy - exp(y) * sum of dy
 *     FNN_LOGSUMEXP:   out = dy * exp(x - y)
 * out, y and dy are (N, C, inner), the y and dy of FNN_LOGSUMEXP (N, inner). `out` may be an input
 * of its shape. */
typedef struct fnn_softmax_args {
    int64_t N, C, inner;
    fnn_softmax kind;
    const void *x;      /* forward, and the backward of FNN_LOGSUMEXP */
    const void *y, *dy; /* backward */
    void *out;
} fnn_softmax_args;

fnn_status fnn_softmax_forward(fnn_dtype dtype, const fnn_softmax_args *args);
fnn_status fnn_softmax_backward(fnn_dtype dtype, const fnn_softmax_args *args);

typedef enum fnn_reduction { FNN_MEAN, FNN_SUM, FNN_NONE } fnn_reduction;

/* Losses of N rows that belong to one of C classes each. With w the weights, or 1, s the
 * label_smoothing and y = labels[n]:
 *     softmax_cross_entropy: q[c] = w[c] * ((1 - s) * t[c] + s / C), t being probabilities[n,:]
 *                            or, where there are none, t[c] = (c == y)
 *                            losses[n] = sum over c of q[c] * (logsumexp(x[n,:]) - x[n,c])
 *     nll:                   losses[n] = -w[y] * x[n,y]
 *     multi_margin:          losses[n] = w[y] / C * sum over c != y of
 *                            max(0, margin - x[n,y] + x[n,c])^power
 * A row whose label is ignore_index has loss 0 and a gradient of zeros, whatever is in it.
 * loss is their sum, for FNN_MEAN divided by the sum of w[y] over the rows not ignored, or by N:
 * with probabilities, and for multi_margin. dx is the gradient of loss, or of the sum. */
typedef struct fnn_class_loss_args {
    int64_t N, C;              /* C > 0 */
    const void *x;             /* (N, C), contiguous, as all of these */
    const int64_t *labels;     /* (N), each in [0, C) or ignore_index; or NULL */
    const void *probabilities; /* (N, C) where labels is NULL; softmax_cross_entropy only */
    const void *weight;        /* (C), or NULL */
    double label_smoothing;    /* 0 .. 1; softmax_cross_entropy only */
    double margin;             /* multi_margin only */
    int power;                 /* 1 or 2; multi_margin only */
    int64_t ignore_index;
    fnn_reduction reduction;
    void *dx;     /* (N, C); may be x */
    double *loss; /* FNN_MEAN, FNN_SUM */
    void *losses; /* (N), FNN_NONE */
} fnn_class_loss_args;

fnn_status fnn_softmax_cross_entropy(fnn_dtype dtype, const fnn_class_loss_args *args);
fnn_status fnn_nll(fnn_dtype dtype, const fnn_class_loss_args *args);
fnn_status fnn_multi_margin(fnn_dtype dtype, const fnn_class_loss_args *args);

typedef enum fnn_loss {
    FNN_MSE,             /* (y - t)^2 */
    FNN_L1,              /* |y - t|; its gradient at 0 is 0 */
    FNN_HUBER,           /* (y - t)^2 / 2 up to |y - t| = delta, then delta (|y - t| - delta / 2) */
    FNN_HINGE,           /* max(0, margin - t * y) */
    FNN_BCE_WITH_LOGITS, /* weight (pos_weight t softplus(-y) + (1 - t) softplus(y)) */
} fnn_loss;

/* losses[i] as above; loss is their sum, for FNN_MEAN divided by size; dy is the gradient of loss,
 * or of the sum. */
typedef struct fnn_elementwise_loss_args {
    int64_t size;
    fnn_loss kind;
    fnn_reduction reduction;
    double parameter; /* delta or margin */
    const void *y, *t;
    const void *weight, *pos_weight; /* (size) or NULL; FNN_BCE_WITH_LOGITS only */
    void *dy;                        /* may be y or t */
    double *loss;                    /* FNN_MEAN, FNN_SUM */
    void *losses;                    /* (size), FNN_NONE */
} fnn_elementwise_loss_args;

fnn_status fnn_elementwise_loss(fnn_dtype dtype, const fnn_elementwise_loss_args *args);

enum { FNN_MAX_COPY_DIMS = 8 };

/* ---- elementwise ------------------------------------------------------------------------- */

typedef enum fnn_binary {
    FNN_ADD,
    FNN_MUL,
    FNN_ADD_RELU,     /* max(a + b, 0), NaN stays NaN */
    FNN_PRELU,        /* a > 0 ? a : a b */
    FNN_PRELU_SLOPE,  /* a > 0 ? 1 : b */
    FNN_PRELU_WEIGHT, /* b > 0 ? 0 : a b */
    FNN_DIV_OR_ZERO,  /* b == 0 ? 0 : a / b */
} fnn_binary;

/* out[i] = f(a[i], b[i]); a stride of 0 broadcasts. out is contiguous, and may be an operand that is
 * too and has its shape. */
typedef struct fnn_binary_args {
    fnn_binary kind;
    int dims; /* at least 1 */
    int64_t shape[FNN_MAX_COPY_DIMS];
    const void *a, *b;
    int64_t a_strides[FNN_MAX_COPY_DIMS], b_strides[FNN_MAX_COPY_DIMS];
    void *out;
} fnn_binary_args;

fnn_status fnn_binary_forward(fnn_dtype dtype, const fnn_binary_args *args);

/* out[o] = sum over i < I of x[o,i]; with norm: the root of the sum of x[o,i]^2.
 * A row is summed in interleaved sums whose number is fixed, added in order. */
typedef struct fnn_row_sum_args {
    int64_t O, I;
    const void *x; /* (O, I), contiguous */
    void *out;     /* (O) */
    bool norm;     /* sqrt of the sum of squares */
} fnn_row_sum_args;

fnn_status fnn_row_sum(fnn_dtype dtype, const fnn_row_sum_args *args);

/* ---- embedding --------------------------------------------------------------------------- */

/* forward: out[n,:] = weight[indices[n],:]
 * backward: dw = accumulate ? dw : 0; for n < N ascending, where indices[n] is not padding_index:
 *     dw[indices[n],:] += dy[n,:] */
typedef struct fnn_embedding_args {
    int64_t N, V, D;        /* V rows of D, N of them looked up */
    const int64_t *indices; /* (N), each in [0, V) */
    int64_t padding_index;  /* -1: none */
    const void *in;         /* forward: weight (V, D); backward: dy (N, D) */
    void *out;              /* forward: (N, D); backward: dw (V, D) */
    bool accumulate;
} fnn_embedding_args;

fnn_status fnn_embedding_forward(fnn_dtype dtype, const fnn_embedding_args *args);
fnn_status fnn_embedding_backward(fnn_dtype dtype, const fnn_embedding_args *args);

/* ---- optimizers -------------------------------------------------------------------------- */

/* g = dw + weight_decay * w;  v = momentum * v + g;  w -= lr * (nesterov ? g + momentum * v : v)
 * v NULL stands for plain gradient descent, w -= lr * g. */
typedef struct fnn_sgd_step_args {
    int64_t size;
    void *w;
    const void *dw;
    void *v;
    const double *hyper; /* lr, momentum, weight_decay; if dampened also dampening, step */
    bool nesterov;
    bool dampened; /* v = momentum * v + (step > 1 ? 1 - dampening : 1) * g */
} fnn_sgd_step_args;

fnn_status fnn_sgd_step(fnn_dtype dtype, const fnn_sgd_step_args *args);

/* g = dw + weight_decay * w, or if decoupled: g = dw, w -= lr * weight_decay * w
 * m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g^2;  vmax = max(vmax, v)
 * w -= lr / (1 - beta1^step) * m / (sqrt((vmax ? vmax : v) / (1 - beta2^step)) + eps) */
typedef struct fnn_adam_step_args {
    int64_t size;
    void *w;
    const void *dw;
    void *m, *v, *vmax;  /* vmax NULL: Adam, otherwise AMSGrad */
    const double *hyper; /* lr, beta1, beta2, eps, weight_decay, step, which counts from 1 */
    bool decoupled;
} fnn_adam_step_args;

fnn_status fnn_adam_step(fnn_dtype dtype, const fnn_adam_step_args *args);

/* g = dw + weight_decay * w;  v = alpha * v + (1 - alpha) * g^2;  mean += (1 - alpha) * (g - mean)
 * s = g / (sqrt(v - mean^2) + eps);  b = momentum * b + s;  w -= lr * b */
typedef struct fnn_rmsprop_step_args {
    int64_t size;
    void *w;
    const void *dw;
    void *v;
    void *mean;          /* NULL: counts as 0 */
    void *b;             /* NULL: w -= lr * s */
    const double *hyper; /* lr, alpha, eps, weight_decay, momentum */
} fnn_rmsprop_step_args;

fnn_status fnn_rmsprop_step(fnn_dtype dtype, const fnn_rmsprop_step_args *args);

/* g = dw + weight_decay * w;  v += g^2;  w -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(v) + eps) */
typedef struct fnn_adagrad_step_args {
    int64_t size;
    void *w;
    const void *dw;
    void *v;
    const double *hyper; /* lr, lr_decay, eps, weight_decay, step, which counts from 1 */
} fnn_adagrad_step_args;

fnn_status fnn_adagrad_step(fnn_dtype dtype, const fnn_adagrad_step_args *args);

/* g = dw + weight_decay * w;  v = rho * v + (1 - rho) * g^2;  s = sqrt(d + eps) / sqrt(v + eps) * g
 * d = rho * d + (1 - rho) * s^2;  w -= lr * s */
typedef struct fnn_adadelta_step_args {
    int64_t size;
    void *w;
    const void *dw;
    void *v, *d;
    const double *hyper; /* lr, rho, eps, weight_decay */
} fnn_adadelta_step_args;

fnn_status fnn_adadelta_step(fnn_dtype dtype, const fnn_adadelta_step_args *args);

/* x *= min(1, max_norm / (norm + 1e-6)), the factor rounded to x's type; NaN where norm is. */
typedef struct fnn_clip_args {
    int64_t size;
    void *x;
    const double *norm;
    double max_norm;
} fnn_clip_args;

fnn_status fnn_clip(fnn_dtype dtype, const fnn_clip_args *args);

/* norm = (sum of |x|^p)^(1/p), summed in double;  p 1, 2 or infinity: max |x|, NaN if one is. */
typedef struct fnn_vector_norm_args {
    int64_t size;
    const void *x;
    double p;
    double *norm;
} fnn_vector_norm_args;

fnn_status fnn_vector_norm(fnn_dtype dtype, const fnn_vector_norm_args *args);

/* ---- memory ------------------------------------------------------------------------------ */

/* out = x (0 where x is NULL), or out += x; 0 or nothing where a mask is false. */
typedef struct fnn_copy_args {
    int dims; /* at least 1 */
    int64_t shape[FNN_MAX_COPY_DIMS];
    const void *x; /* or NULL */
    int64_t x_strides[FNN_MAX_COPY_DIMS];
    void *out;
    int64_t out_strides[FNN_MAX_COPY_DIMS];
    const uint8_t *mask; /* of that shape, contiguous; or NULL */
    bool accumulate;
} fnn_copy_args;

fnn_status fnn_copy(fnn_dtype dtype, const fnn_copy_args *args);

/* *before = *counter (before may be NULL), then *counter += amount: a uint64_t modulo 2^62, an
 * int64_t, or a double. */
typedef enum fnn_counter { FNN_COUNTER_U64, FNN_COUNTER_I64, FNN_COUNTER_F64 } fnn_counter;

typedef struct fnn_advance_args {
    fnn_counter kind;
    void *counter, *before;
    int64_t amount;
} fnn_advance_args;

fnn_status fnn_advance(fnn_dtype dtype, const fnn_advance_args *args); /* of any dtype */

/* In a program: if *x is infinite or NaN, no step behind this one runs. By itself it does nothing. */
typedef struct fnn_require_finite_args {
    const double *x;
} fnn_require_finite_args;

fnn_status fnn_require_finite(fnn_dtype dtype, const fnn_require_finite_args *args);

/* ---- programs ---------------------------------------------------------------------------- */

/* What is known of an op: the pointers in its args, for those that record, plan and explain
 * programs. */
typedef enum fnn_role {
    FNN_IN,
    FNN_IN_PLACE, /* read; what is written may be this very array */
    FNN_OUT,
    FNN_INOUT,
    FNN_ADDED, /* FNN_INOUT where the flag is set, else FNN_OUT */
    FNN_MOVED, /* FNN_INOUT where the flag is set, else FNN_IN */
} fnn_role;

typedef struct fnn_operand {
    const char *name;
    size_t offset; /* in the args, of the pointer */
    fnn_role role;
    size_t flag; /* in the args, for FNN_ADDED and FNN_MOVED */
} fnn_operand;

int fnn_op_count(void);
const char *fnn_op_name(int op);
size_t fnn_op_size(int op); /* of the args */
/* The number of operands; *operands is the first of them. */
int fnn_op_operands(int op, const fnn_operand **operands);

/* From here on, until called with NULL, ops that this thread asks for do not run but are told to
 * `record`, before anything else. */
typedef void (*fnn_record)(void *context, int op, fnn_dtype dtype, const void *args);
void fnn_set_record(fnn_record record, void *context);
void *fnn_record_context(void); /* of this thread; NULL while it does not record */

typedef struct fnn_step {
    int op;
    fnn_dtype dtype;
    const void *args;
    const int64_t *after; /* the earlier steps that must have ended: what they wrote or read it */
    int64_t after_count;  /* reads or writes */
} fnn_step;

/* A sequence of ops that runs as one. It holds copies of the steps; `fnn_program_args` is where the
 * args are, so that pointers can be changed between runs. */
typedef struct fnn_program fnn_program;

fnn_program *fnn_program_create(const fnn_step *steps, int64_t count); /* NULL: no memory */
void fnn_program_destroy(fnn_program *program);
void *fnn_program_args(fnn_program *program, int64_t step);

/* Runs the steps from *next on, and sets *next to the one to go on with; that is behind the last
 * step, unless `pause` seconds passed (0: never), or with FNN_NOT_FINITE where it stopped. One call at a time. Allocates where the number of
 * threads is another than in the run before. */
fnn_status fnn_program_run(fnn_program *program, int64_t *next, double pause);

/* From here on the seconds of every step are added to seconds[step]; NULL: no longer. */
void fnn_program_profile(fnn_program *program, double *seconds);

/* ---- saved programs ---------------------------------------------------------------------- */

/* A program for inference with its constants, as Python's `fastnn.compile(...).save` writes it:
 * docs/program_file.md. It runs without Python. */
typedef enum fnn_type { FNN_TYPE_F32, FNN_TYPE_F64, FNN_TYPE_I64, FNN_TYPE_U8 } fnn_type;

enum { FNN_MAX_DIMS = 8 };

typedef struct fnn_array_type {
    fnn_type type;
    int dims;
    int64_t shape[FNN_MAX_DIMS];
    size_t bytes;
} fnn_array_type;

typedef struct fnn_model fnn_model;

/* NULL, and a sentence in `message`, if the file cannot be read, is damaged or is another's. A
 * checksum finds damage; who may have made a file to do harm should not be trusted. */
fnn_model *fnn_model_load(const char *path, char *message, size_t message_size);
void fnn_model_free(fnn_model *model);
int fnn_model_inputs(const fnn_model *model);
int fnn_model_outputs(const fnn_model *model);
const fnn_array_type *fnn_model_input(const fnn_model *model, int i);
const fnn_array_type *fnn_model_output(const fnn_model *model, int i);
/* Arrays are contiguous, and aligned to their elements. One call at a time. */
fnn_status fnn_model_run(fnn_model *model, const void *const *inputs, void *const *outputs);

/* ---- runtime ----------------------------------------------------------------------------- */

#define FNN_MAX_THREADS 256

/* Detects the CPU and reads FASTNN_ISA and FASTNN_NUM_THREADS. Every function that needs it calls
 * it; call it first to learn of bad settings. NULL, or a sentence saying what is wrong and
 * which values are valid. */
const char *fnn_initialize(void);

const char *fnn_version(void);
const char *fnn_compiler(void);
const char *fnn_isa(void);           /* the level kernels run at */
const char *fnn_isa_requested(void); /* FASTNN_ISA, or NULL */
const char *fnn_isa_built(int i); /* the i-th level in this build, ascending; NULL past the end */
bool fnn_isa_available(const char *isa); /* built and supported by this CPU */

int fnn_num_threads(void);                /* what the next call of this thread may use */
void fnn_set_num_threads(int n);          /* 1 .. FNN_MAX_THREADS, for the process */
int fnn_thread_limit(void);               /* of the calling thread; 0 = none set */
void fnn_set_thread_limit(int n);         /* 0 .. FNN_MAX_THREADS, for the calling thread alone */
const char *fnn_num_threads_source(void); /* where the process's number comes from */

#ifdef __cplusplus
}
#endif
#endif
