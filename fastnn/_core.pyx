# cython: language_level=3, binding=True, freethreading_compatible=True
# cython: embedsignature=True, embedsignature.format=clinic
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The one door between Python and the kernels in csrc/.

Each function here checks its arguments, allocates its result, releases the GIL and runs one kernel.
Wrong arguments raise before any memory is touched: TypeError for kinds, ValueError for shapes and
values. All functions are re-exported as ``fastnn.<name>``.

Arrays are NumPy arrays of float32 or float64, one dtype per call, of any strides; images are NHWC,
convolution weights OHWI. Where a kernel needs contiguous memory, another layout is copied once.
``out`` must be writable, of the result's exact shape and dtype, and may not overlap an input unless
the function says so.
"""

include "_core_api.pxi"
include "_core_array.pxi"
include "_core_record.pxi"
include "_core_call.pxi"
include "_core_gemm.pxi"
include "_core_matmul.pxi"
include "_core_bias.pxi"
include "_core_conv.pxi"
include "_core_conv_algorithm.pxi"
include "_core_conv_transpose.pxi"
include "_core_im2col.pxi"
include "_core_pool.pxi"
include "_core_subsample.pxi"
include "_core_norm.pxi"
include "_core_group_norm.pxi"
include "_core_layer_norm.pxi"
include "_core_response_norm.pxi"
include "_core_dropout.pxi"
include "_core_activation.pxi"
include "_core_activations.pxi"
include "_core_softmax.pxi"
include "_core_class_loss.pxi"
include "_core_elementwise_loss.pxi"
include "_core_elementwise.pxi"
include "_core_embedding.pxi"
include "_core_optim.pxi"
include "_core_program.pxi"
include "_core_runtime.pxi"
