/* kernels_set.h: the kernels of one set, named fbp_<op>_<dtype>_<isa> and declared with the types of fbp_kernels.
 *
 * The parts of a set are compiled separately: kernels are visible to all parts, and hidden outside the library.
 */
#ifndef FBP_KERNELS_SET_H
#define FBP_KERNELS_SET_H

#include "fbp.h"
#include "vec.h"

#define PASTE(op, dtype, isa) fbp_##op##_##dtype##_##isa
#define EXPAND(op, dtype, isa) PASTE(op, dtype, isa)
#define KERNEL(op) EXPAND(op, FBP_DTYPE, FBP_ISA)

/* Every kernel of the table. */
#define FBP_KERNELS(OP)  \
    OP(dense_forward)    \
    OP(dense_delta)      \
    OP(dense_gradient)   \
    OP(bias_gradient)    \
    OP(apply_gradient)   \
    OP(column_squares)   \
    OP(limit_columns)    \
    OP(active_rows)      \
    OP(stream_forward)   \
    OP(stream_backward)  \
    OP(activation_delta) \
    OP(gate_forward)     \
    OP(gate_delta)       \
    OP(add_rows)         \
    OP(gather_rows)      \
    OP(convert_rows)     \
    OP(sparse_rows)      \
    OP(sparse_forward)   \
    OP(by_feature)       \
    OP(sparse_gradient)  \
    OP(sparse_update)    \
    OP(one_hot_rows)     \
    OP(smooth_rows)      \
    OP(loss_delta)       \
    OP(weigh_rows)       \
    OP(drop_units)       \
    OP(activate)         \
    OP(elementary)       \
    OP(all_finite)       \
    OP(largest)          \
    OP(fma_probe)

#define DECLARE(op) __attribute__((visibility("hidden"))) __typeof__(*((fbp_kernels *)0)->op) KERNEL(op);
FBP_KERNELS(DECLARE)
#undef DECLARE

#endif
