/* fbp_layout.h: how arrays lie in memory: the padding of rows, blocks and parts, and the sizes of scratch. */
#ifndef FBP_LAYOUT_H
#define FBP_LAYOUT_H

#include <stddef.h>

enum {
    FBP_LINE_BYTES = 64,
    FBP_UPDATE_ROWS = 256, /* rows of one gradient block: part of the arithmetic contract */
    FBP_DELTA_UNITS = 64,  /* input units of one delta block, in L1 as a panel */
    FBP_LEAST_PART = 4,    /* fewest rows of a part of a batch, but for the last */
    FBP_UPDATE_PARTS = FBP_UPDATE_ROWS / FBP_LEAST_PART + 2, /* most parts that share FBP_UPDATE_ROWS rows */
    FBP_FOLD_ROWS = 8      /* up to this batch size a delta is a folded sum: part of the arithmetic contract */
};

/* Elements between rows of n: whole 64-byte lines, and from 8 lines on an odd number of them, because rows a multiple of
 * 4 KiB apart all fall into the same cache sets. */
static inline ptrdiff_t fbp_leading_dimension(ptrdiff_t n, size_t item)
{
    const ptrdiff_t line = FBP_LINE_BYTES / (ptrdiff_t)item;
    ptrdiff_t lines = (n + line - 1) / line;
    if (lines >= 8)
        lines |= 1;
    return lines * line;
}

/* Rows and 64-byte lines of columns of the blocks of a weight whose gradients are computed one by one: 24 KB, in L1, for small
 * batches; the larger the batch, the larger the block, so that x and dy are read less often. */
static inline ptrdiff_t fbp_update_block_rows(ptrdiff_t batch) { return batch <= FBP_UPDATE_ROWS / 2 ? 128 : 256; }
static inline ptrdiff_t fbp_update_block_lines(ptrdiff_t batch) { return batch <= FBP_UPDATE_ROWS ? 3 : 12; }

/* Elements of a gradient block, a row for the bias and a line for an uneven end included. */
static inline ptrdiff_t fbp_update_block(ptrdiff_t batch, size_t item)
{
    return (fbp_update_block_rows(batch) + 1) * (fbp_update_block_lines(batch) + 1) * (FBP_LINE_BYTES / (ptrdiff_t)item);
}

/* Elements of scratch for dense_gradient: a panel (at most 4 lines wide) of a block. */
static inline ptrdiff_t fbp_update_scratch(ptrdiff_t batch, size_t item)
{
    return fbp_update_block_rows(batch) * 4 * (FBP_LINE_BYTES / (ptrdiff_t)item);
}

/* Elements of scratch for dense_delta: dy transposed, and one block of dx before it is turned back. */
static inline ptrdiff_t fbp_delta_scratch(ptrdiff_t n_out, ptrdiff_t rows, size_t item)
{
    const ptrdiff_t line = FBP_LINE_BYTES / (ptrdiff_t)item;
    return (n_out + FBP_DELTA_UNITS) * ((rows + line - 1) / line * line);
}

#endif
