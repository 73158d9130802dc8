# What _core uses of csrc/fastnn.h.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "fastnn.h" nogil:
    ctypedef enum fnn_status:
        FNN_OK
        FNN_ENOMEM
        FNN_NOT_FINITE

    ctypedef enum fnn_dtype:
        FNN_F32
        FNN_F64

    ctypedef enum fnn_activation:
        FNN_IDENTITY
        FNN_RELU
        FNN_SIGMOID
        FNN_TANH
        FNN_SCALED_TANH
        FNN_LEAKY_RELU
        FNN_HARD_SIGMOID
        FNN_HARD_SWISH
        FNN_HARD_TANH
        FNN_THRESHOLD
        FNN_SOFTSIGN
        FNN_ELU
        FNN_EXP
        FNN_LOG
        FNN_SOFTPLUS
        FNN_LOG_SIGMOID
        FNN_SILU
        FNN_MISH
        FNN_GELU
        FNN_GELU_TANH

    ctypedef struct fnn_gemm_args:
        int64_t M, N, K
        const void *a
        int64_t a_rs, a_cs
        const void *b
        int64_t b_rs, b_cs
        bint b_packed
        const void *c
        int64_t c_rs, c_cs
        const void *bias
        int64_t bias_rs, bias_cs
        const uint8_t *mask
        uint8_t *mask_out
        void *out
        int64_t out_rs, out_cs
        double alpha, beta
        fnn_activation activation

    ctypedef struct fnn_pack_args:
        int64_t K, N
        const void *b
        int64_t b_rs, b_cs
        void *packed

    ctypedef struct fnn_matmul_args:
        fnn_gemm_args product
        int dims
        int64_t *shape
        int64_t *a_strides
        int64_t *b_strides
        int64_t *out_strides

    ctypedef struct fnn_bias_backward_args:
        int64_t P, O
        const void *dy
        void *db
        bint accumulate

    ctypedef enum fnn_conv_algorithm:
        FNN_CONV_AUTO
        FNN_CONV_IM2COL
        FNN_CONV_DIRECT
        FNN_CONV_DEPTHWISE

    ctypedef enum fnn_conv_pass:
        FNN_CONV_FORWARD
        FNN_CONV_BACKWARD_INPUT
        FNN_CONV_BACKWARD_WEIGHT

    ctypedef struct fnn_conv2d_shape:
        int64_t N, H, W, C
        int64_t O, KH, KW
        int64_t OH, OW
        int64_t stride_h, stride_w
        int64_t pad_top, pad_left
        int64_t dilation_h, dilation_w
        int64_t groups
        fnn_conv_algorithm algorithm

    ctypedef struct fnn_conv2d_forward_args:
        fnn_conv2d_shape shape
        const void *x
        const void *w
        const void *bias
        void *y
        fnn_activation activation

    ctypedef struct fnn_conv2d_backward_input_args:
        fnn_conv2d_shape shape
        const void *dy
        const void *w
        const void *bias
        void *dx
        fnn_activation activation

    ctypedef struct fnn_conv2d_backward_weight_args:
        fnn_conv2d_shape shape
        const void *dy
        const void *x
        void *dw
        bint accumulate

    ctypedef struct fnn_conv2d_choice_args:
        fnn_conv2d_shape shape
        fnn_conv_pass conv_pass "pass"
        fnn_conv_algorithm *chosen

    ctypedef struct fnn_im2col_args:
        fnn_conv2d_shape shape
        const void *x
        void *cols

    ctypedef struct fnn_col2im_args:
        fnn_conv2d_shape shape
        const void *cols
        void *dx

    ctypedef struct fnn_max_pool2d_forward_args:
        fnn_conv2d_shape shape
        const void *x
        void *y
        uint8_t *indices
        bint relu

    ctypedef struct fnn_max_pool2d_backward_args:
        fnn_conv2d_shape shape
        const void *dy
        const uint8_t *indices
        void *dx

    ctypedef struct fnn_avg_pool2d_args:
        fnn_conv2d_shape shape
        int64_t pad_bottom, pad_right
        bint count_include_pad
        const void *input "in"
        void *out

    ctypedef struct fnn_subsample2d_forward_args:
        fnn_conv2d_shape shape
        const void *x
        const void *coefficient
        const void *bias
        void *y
        fnn_activation activation

    ctypedef struct fnn_subsample2d_backward_input_args:
        fnn_conv2d_shape shape
        const void *dy
        const void *coefficient
        void *dx

    ctypedef struct fnn_subsample2d_backward_coefficient_args:
        fnn_conv2d_shape shape
        const void *dy
        const void *x
        void *dcoefficient
        bint accumulate

    ctypedef struct fnn_batch_norm_forward_args:
        int64_t P, C
        const void *x
        const void *weight
        const void *bias
        void *running_mean
        void *running_var
        double momentum, eps
        const int64_t *batches
        bint training, relu
        double *mean
        double *inv_std
        void *y

    ctypedef struct fnn_batch_norm_backward_args:
        int64_t P, C
        const void *dy
        const void *x
        const void *y
        const void *weight
        const double *mean
        const double *inv_std
        void *dx
        void *dweight
        void *dbias

    ctypedef struct fnn_group_norm_forward_args:
        int64_t N, P, C, groups
        const void *x
        const void *weight
        const void *bias
        double eps
        double *mean
        double *inv_std
        void *y

    ctypedef struct fnn_group_norm_backward_args:
        int64_t N, P, C, groups
        const void *dy
        const void *x
        const void *weight
        const double *mean
        const double *inv_std
        void *dx
        void *dweight
        void *dbias

    ctypedef struct fnn_layer_norm_forward_args:
        int64_t N, I
        const void *x
        const void *weight
        const void *bias
        double eps
        double *mean
        double *inv_std
        void *y

    ctypedef struct fnn_layer_norm_backward_args:
        int64_t N, I
        const void *dy
        const void *x
        const void *weight
        const double *mean
        const double *inv_std
        void *dx
        void *dweight
        void *dbias

    ctypedef struct fnn_local_response_norm_args:
        int64_t P, C, size
        double alpha, beta, k
        const void *x
        const void *dy
        void *out

    ctypedef struct fnn_dropout_args:
        int64_t size
        const void *x
        void *out
        uint64_t seed, offset
        const uint64_t *seed_at
        const uint64_t *offset_at
        uint32_t threshold
        double scale

    ctypedef struct fnn_activation_args:
        int64_t size
        fnn_activation activation
        double[3] p
        const void *x
        const void *dy
        void *out

    ctypedef enum fnn_softmax:
        FNN_SOFTMAX
        FNN_LOG_SOFTMAX
        FNN_LOGSUMEXP

    ctypedef struct fnn_softmax_args:
        int64_t N, C, inner
        fnn_softmax kind
        const void *x
        const void *y
        const void *dy
        void *out

    ctypedef enum fnn_reduction:
        FNN_MEAN
        FNN_SUM
        FNN_NONE

    ctypedef struct fnn_class_loss_args:
        int64_t N, C
        const void *x
        const int64_t *labels
        const void *probabilities
        const void *weight
        double label_smoothing
        double margin
        int power
        int64_t ignore_index
        fnn_reduction reduction
        void *dx
        double *loss
        void *losses

    ctypedef enum fnn_loss:
        FNN_MSE
        FNN_L1
        FNN_HUBER
        FNN_HINGE
        FNN_BCE_WITH_LOGITS

    ctypedef struct fnn_elementwise_loss_args:
        int64_t size
        fnn_loss kind
        fnn_reduction reduction
        double parameter
        const void *y
        const void *t
        const void *weight
        const void *pos_weight
        void *dy
        double *loss
        void *losses

    ctypedef struct fnn_sgd_step_args:
        int64_t size
        void *w
        const void *dw
        void *v
        const double *hyper
        bint nesterov
        bint dampened

    ctypedef struct fnn_adam_step_args:
        int64_t size
        void *w
        const void *dw
        void *m
        void *v
        void *vmax
        const double *hyper
        bint decoupled

    ctypedef struct fnn_rmsprop_step_args:
        int64_t size
        void *w
        const void *dw
        void *v
        void *mean
        void *b
        const double *hyper

    ctypedef struct fnn_adagrad_step_args:
        int64_t size
        void *w
        const void *dw
        void *v
        const double *hyper

    ctypedef struct fnn_adadelta_step_args:
        int64_t size
        void *w
        const void *dw
        void *v
        void *d
        const double *hyper

    ctypedef struct fnn_vector_norm_args:
        int64_t size
        const void *x
        double p
        double *norm

    ctypedef struct fnn_clip_args:
        int64_t size
        void *x
        const double *norm
        double max_norm

    int FNN_MAX_COPY_DIMS

    ctypedef struct fnn_copy_args:
        int dims
        int64_t *shape
        const void *x
        int64_t *x_strides
        void *out
        int64_t *out_strides
        const uint8_t *mask
        bint accumulate

    ctypedef enum fnn_counter:
        FNN_COUNTER_U64
        FNN_COUNTER_I64
        FNN_COUNTER_F64

    ctypedef struct fnn_advance_args:
        fnn_counter kind
        void *counter
        void *before
        int64_t amount

    ctypedef enum fnn_binary:
        FNN_ADD
        FNN_MUL
        FNN_ADD_RELU
        FNN_PRELU
        FNN_PRELU_SLOPE
        FNN_PRELU_WEIGHT
        FNN_DIV_OR_ZERO

    ctypedef struct fnn_binary_args:
        fnn_binary kind
        int dims
        int64_t *shape
        const void *a
        const void *b
        int64_t *a_strides
        int64_t *b_strides
        void *out

    ctypedef struct fnn_row_sum_args:
        int64_t O, I
        const void *x
        void *out
        bint norm

    fnn_status fnn_binary_forward(fnn_dtype, const fnn_binary_args *)
    fnn_status fnn_row_sum(fnn_dtype, const fnn_row_sum_args *)

    ctypedef struct fnn_embedding_args:
        int64_t N, V, D
        const int64_t *indices
        int64_t padding_index
        const void *input "in"
        void *out
        bint accumulate

    fnn_status fnn_embedding_forward(fnn_dtype, const fnn_embedding_args *)
    fnn_status fnn_embedding_backward(fnn_dtype, const fnn_embedding_args *)
    fnn_status fnn_clip(fnn_dtype, const fnn_clip_args *)
    ctypedef struct fnn_require_finite_args:
        const double *x

    fnn_status fnn_require_finite(fnn_dtype, const fnn_require_finite_args *)
    fnn_status fnn_copy(fnn_dtype, const fnn_copy_args *)
    fnn_status fnn_advance(fnn_dtype, const fnn_advance_args *)

    ctypedef enum fnn_role:
        FNN_IN
        FNN_IN_PLACE
        FNN_OUT
        FNN_INOUT
        FNN_ADDED
        FNN_MOVED

    ctypedef struct fnn_operand:
        const char *name
        size_t offset
        fnn_role role
        size_t flag

    int fnn_op_count()
    const char *fnn_op_name(int)
    size_t fnn_op_size(int)
    int fnn_op_operands(int, const fnn_operand **)
    ctypedef void (*fnn_record)(void *, int, fnn_dtype, const void *) noexcept
    void fnn_set_record(fnn_record, void *)
    void *fnn_record_context()

    ctypedef struct fnn_step:
        int op
        fnn_dtype dtype
        const void *args
        const int64_t *after
        int64_t after_count

    ctypedef struct fnn_program:
        pass

    fnn_program *fnn_program_create(const fnn_step *, int64_t)
    void fnn_program_destroy(fnn_program *)
    void *fnn_program_args(fnn_program *, int64_t)
    fnn_status fnn_program_run(fnn_program *, int64_t *, double)
    void fnn_program_profile(fnn_program *, double *)

    ctypedef enum fnn_type:
        FNN_TYPE_F32

    ctypedef struct fnn_array_type:
        fnn_type type
        int dims
        int64_t *shape

    ctypedef struct fnn_model:
        pass

    fnn_model *fnn_model_load(const char *, char *, size_t)
    void fnn_model_free(fnn_model *)
    int fnn_model_inputs(const fnn_model *)
    int fnn_model_outputs(const fnn_model *)
    const fnn_array_type *fnn_model_input(const fnn_model *, int)
    const fnn_array_type *fnn_model_output(const fnn_model *, int)
    fnn_status fnn_model_run(fnn_model *, const void **, void **)

    fnn_status fnn_gemm(fnn_dtype, const fnn_gemm_args *)
    fnn_status fnn_pack(fnn_dtype, const fnn_pack_args *)
    size_t fnn_packed_size(fnn_dtype, int64_t, int64_t)
    fnn_status fnn_matmul(fnn_dtype, const fnn_matmul_args *)
    fnn_status fnn_bias_backward(fnn_dtype, const fnn_bias_backward_args *)
    fnn_status fnn_conv2d_forward(fnn_dtype, const fnn_conv2d_forward_args *)
    fnn_status fnn_conv2d_backward_input(fnn_dtype, const fnn_conv2d_backward_input_args *)
    fnn_status fnn_conv2d_backward_weight(fnn_dtype, const fnn_conv2d_backward_weight_args *)
    fnn_status fnn_conv2d_choice(fnn_dtype, const fnn_conv2d_choice_args *)
    fnn_status fnn_im2col(fnn_dtype, const fnn_im2col_args *)
    fnn_status fnn_col2im(fnn_dtype, const fnn_col2im_args *)
    fnn_status fnn_max_pool2d_forward(fnn_dtype, const fnn_max_pool2d_forward_args *)
    fnn_status fnn_max_pool2d_backward(fnn_dtype, const fnn_max_pool2d_backward_args *)
    fnn_status fnn_avg_pool2d_forward(fnn_dtype, const fnn_avg_pool2d_args *)
    fnn_status fnn_avg_pool2d_backward(fnn_dtype, const fnn_avg_pool2d_args *)
    fnn_status fnn_subsample2d_forward(fnn_dtype, const fnn_subsample2d_forward_args *)
    fnn_status fnn_subsample2d_backward_input(fnn_dtype,
                                              const fnn_subsample2d_backward_input_args *)
    fnn_status fnn_subsample2d_backward_coefficient(
        fnn_dtype, const fnn_subsample2d_backward_coefficient_args *)
    fnn_status fnn_batch_norm_forward(fnn_dtype, const fnn_batch_norm_forward_args *)
    fnn_status fnn_batch_norm_backward(fnn_dtype, const fnn_batch_norm_backward_args *)
    fnn_status fnn_group_norm_forward(fnn_dtype, const fnn_group_norm_forward_args *)
    fnn_status fnn_group_norm_backward(fnn_dtype, const fnn_group_norm_backward_args *)
    fnn_status fnn_layer_norm_forward(fnn_dtype, const fnn_layer_norm_forward_args *)
    fnn_status fnn_layer_norm_backward(fnn_dtype, const fnn_layer_norm_backward_args *)
    fnn_status fnn_local_response_norm_forward(fnn_dtype, const fnn_local_response_norm_args *)
    fnn_status fnn_local_response_norm_backward(fnn_dtype, const fnn_local_response_norm_args *)
    fnn_status fnn_dropout(fnn_dtype, const fnn_dropout_args *)
    fnn_status fnn_activation_forward(fnn_dtype, const fnn_activation_args *)
    fnn_status fnn_activation_backward(fnn_dtype, const fnn_activation_args *)
    fnn_status fnn_softmax_forward(fnn_dtype, const fnn_softmax_args *)
    fnn_status fnn_softmax_backward(fnn_dtype, const fnn_softmax_args *)
    fnn_status fnn_softmax_cross_entropy(fnn_dtype, const fnn_class_loss_args *)
    fnn_status fnn_nll(fnn_dtype, const fnn_class_loss_args *)
    fnn_status fnn_multi_margin(fnn_dtype, const fnn_class_loss_args *)
    fnn_status fnn_elementwise_loss(fnn_dtype, const fnn_elementwise_loss_args *)
    fnn_status fnn_sgd_step(fnn_dtype, const fnn_sgd_step_args *)
    fnn_status fnn_adam_step(fnn_dtype, const fnn_adam_step_args *)
    fnn_status fnn_rmsprop_step(fnn_dtype, const fnn_rmsprop_step_args *)
    fnn_status fnn_adagrad_step(fnn_dtype, const fnn_adagrad_step_args *)
    fnn_status fnn_adadelta_step(fnn_dtype, const fnn_adadelta_step_args *)
    fnn_status fnn_vector_norm(fnn_dtype, const fnn_vector_norm_args *)

    int FNN_MAX_THREADS
    int FNN_MAX_BATCH_DIMS
    const char *fnn_initialize()
    const char *fnn_version()
    const char *fnn_compiler()
    const char *fnn_isa()
    const char *fnn_isa_requested()
    const char *fnn_isa_built(int)
    bint fnn_isa_available(const char *)
    int fnn_num_threads()
    void fnn_set_num_threads(int)
    int fnn_thread_limit()
    void fnn_set_thread_limit(int)
    const char *fnn_num_threads_source()


cdef int check(const char *func, fnn_status status) except -1:
    if status == FNN_ENOMEM:
        raise MemoryError(f"{func.decode()}: no memory for the workspace")
    return 0
