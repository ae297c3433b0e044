/* kernels.h: the loops, written once over the vocabulary of vec.h, for every ISA and dtype.
 *
 * A kernel file (kernels_avx512.c, ...) defines FBP_ISA and FBP_VEC_BYTES and includes this file. The build compiles it for
 * each FBP_REAL_BITS and, so that compilers run side by side and a changed header recompiles one part, for each FBP_PART;
 * without FBP_PART all parts are in one object. No ISA is named here: a loop that needs to know it shows that the vocabulary
 * lacks a verb.
 */
#ifndef FBP_KERNELS_H
#define FBP_KERNELS_H

#include "kernels_set.h"

#define FBP_DENSE 1
#define FBP_ROWS 2
#define FBP_STREAM 3
#ifndef FBP_PART
#define FBP_PART 0
#endif

#if FBP_PART == FBP_DENSE || !FBP_PART
#include "kernels_activations.h"
#include "kernels_dense.h"
#include "kernels_sparse.h"
#include "kernels_stream.h"
#endif

#if FBP_PART == FBP_ROWS || !FBP_PART
#include "kernels_convert.h"
#include "kernels_gates.h"
#include "kernels_gather.h"
#include "kernels_losses.h"
#include "kernels_norms.h"
#include "kernels_table.h"
#endif

#if FBP_PART == FBP_STREAM || !FBP_PART
#include "kernels_stream_backward.h"
#endif

#endif
