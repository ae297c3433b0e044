/* fbp_layout.h: the layout of arrays in memory: the padding of rows, the sizes of blocks, parts and scratch. */
#ifndef FBP_LAYOUT_H
#define FBP_LAYOUT_H

#include "fbp_rows.h"

#include <stddef.h>

enum {
    FBP_LINE_BYTES = 64,
    FBP_UPDATE_ROWS = 256, /* rows of the batch that one chain of a gradient adds up: part of the arithmetic contract */
    FBP_DELTA_UNITS = 64,  /* input units of a block of dense_delta, whose panels stay in L1 */
    FBP_LEAST_PART = 4,    /* fewest rows of a part of a batch, except the last part */
    FBP_UPDATE_PARTS = FBP_UPDATE_ROWS / FBP_LEAST_PART + 2, /* most parts that FBP_UPDATE_ROWS rows can lie in */
    FBP_FOLD_ROWS = 8 /* up to this batch size a delta is a folded sum, beyond it a chain: part of the arithmetic contract */
};

/* Elements from one row of n to the next: whole 64-byte lines, and from 8 lines on an odd number of them, because rows that are
 * a multiple of 4 KiB apart fall into the same cache sets. */
static inline ptrdiff_t fbp_leading_dimension(ptrdiff_t n, size_t item)
{
    const ptrdiff_t line = FBP_LINE_BYTES / (ptrdiff_t)item;
    ptrdiff_t lines = (n + line - 1) / line;
    if (lines >= 8)
        lines |= 1;
    return lines * line;
}

/* Height in rows and width in 64-byte lines of the blocks of a weight whose gradients are computed one by one. Up to half of
 * FBP_UPDATE_ROWS a block is 24 KB, which stays in L1; for larger batches it is larger, so that x and dy are read less. */
static inline ptrdiff_t fbp_update_block_rows(ptrdiff_t batch) { return batch <= FBP_UPDATE_ROWS / 2 ? 128 : 256; }
static inline ptrdiff_t fbp_update_block_lines(ptrdiff_t batch) { return batch <= FBP_UPDATE_ROWS ? 3 : 12; }

/* Elements of the gradient of a block, including a row for the bias and a line for an uneven end. */
static inline ptrdiff_t fbp_update_block(ptrdiff_t batch, size_t item)
{
    return (fbp_update_block_rows(batch) + 1) * (fbp_update_block_lines(batch) + 1) * (FBP_LINE_BYTES / (ptrdiff_t)item);
}

/* Elements of scratch for dense_gradient: a panel of a block, at most 4 lines wide. */
static inline ptrdiff_t fbp_update_scratch(ptrdiff_t batch, size_t item)
{
    return fbp_update_block_rows(batch) * 4 * (FBP_LINE_BYTES / (ptrdiff_t)item);
}

static inline ptrdiff_t fbp_line_bytes(ptrdiff_t bytes)
{
    return (bytes + FBP_LINE_BYTES - 1) / FBP_LINE_BYTES * FBP_LINE_BYTES;
}

/* Bytes of sparse rows with room for so many numbers, and these in memory that begins at a line. */
static inline ptrdiff_t fbp_sparse_bytes(ptrdiff_t rows, ptrdiff_t room, size_t item)
{
    return fbp_line_bytes(room * (ptrdiff_t)item) + fbp_line_bytes(room * 4) + fbp_line_bytes((rows + 1) * 8);
}

static inline fbp_sparse fbp_sparse_at(char *memory, ptrdiff_t room, size_t item)
{
    char *const column = memory + fbp_line_bytes(room * (ptrdiff_t)item), *const start = column + fbp_line_bytes(room * 4);
    return (fbp_sparse){memory, (int32_t *)column, (ptrdiff_t *)start, room};
}

/* The same for the numbers of a batch by feature, of so many columns. */
static inline ptrdiff_t fbp_features_bytes(ptrdiff_t columns, ptrdiff_t room, size_t item)
{
    const ptrdiff_t most = room < columns ? room : columns;
    return fbp_line_bytes(room * (ptrdiff_t)item) + fbp_line_bytes(room * 4) + fbp_line_bytes(most * 4) +
           fbp_line_bytes(most * 8) + fbp_line_bytes(columns * 4);
}

static inline fbp_features fbp_features_at(char *memory, ptrdiff_t columns, ptrdiff_t room, size_t item)
{
    const ptrdiff_t most = room < columns ? room : columns;
    char *const row = memory + fbp_line_bytes(room * (ptrdiff_t)item), *const feature = row + fbp_line_bytes(room * 4);
    char *const end = feature + fbp_line_bytes(most * 4), *const place = end + fbp_line_bytes(most * 8);
    return (fbp_features){memory, (int32_t *)row, (int32_t *)feature, (ptrdiff_t *)end, 0, (int32_t *)place};
}

/* Elements of scratch for dense_delta: dy transposed, and a block of dx before it is transposed back. */
static inline ptrdiff_t fbp_delta_scratch(ptrdiff_t n_out, ptrdiff_t rows, size_t item)
{
    const ptrdiff_t line = FBP_LINE_BYTES / (ptrdiff_t)item;
    return (n_out + FBP_DELTA_UNITS) * ((rows + line - 1) / line * line);
}

#endif
