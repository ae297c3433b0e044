/* kernels_table.h: the table that a kernel set exports, and the kernel that measures the peak of the machine. */
#ifndef FBP_KERNELS_TABLE_H
#define FBP_KERNELS_TABLE_H

#include "fbp.h"
#include "kernels_set.h"
#include "vec.h"

double KERNEL(fma_probe)(void *sink, ptrdiff_t rounds)
{
    enum { CHAINS = TILE_ROWS * TILE_VECS };
    vec sum[CHAINS], a = v_set1((real)0.999), b = v_set1((real)0.001);
    for (int c = 0; c < CHAINS; c++)
        sum[c] = v_set1(c);
    for (ptrdiff_t i = 0; i < rounds; i++)
#pragma GCC unroll 32
        for (int c = 0; c < CHAINS; c++)
            sum[c] = v_fma(sum[c], a, b);
    for (int c = 0; c < CHAINS; c++)
        v_store((real *)sink + c * LANES, sum[c]);
    return 2.0 * CHAINS * LANES * (double)rounds;
}

#define NAME_OF(isa) NAME_TEXT(isa)
#define NAME_TEXT(isa) #isa
#define ENTRY(op) .op = KERNEL(op),
const fbp_kernels KERNEL(kernels) = {
    .isa = NAME_OF(FBP_ISA), .dtype = FBP_REAL_BITS == 32 ? FBP_F32 : FBP_F64, .item = sizeof(real), FBP_KERNELS(ENTRY)};

#define COUNT(op) +1
_Static_assert(sizeof(fbp_kernels) == offsetof(fbp_kernels, dense_forward) + (0 FBP_KERNELS(COUNT)) * sizeof(void (*)(void)),
               "FBP_KERNELS names every kernel of the table");

#endif
