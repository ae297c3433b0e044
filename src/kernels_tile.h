/* kernels_tile.h: the register tile, and the panels that are made of tiles.
 *
 * All three matrix products are one register tile, out[r][v] = init[r][v] + sum over d of a[r][d] * b[d][v], an FMA chain
 * over d ascending: forward d = input, delta d = output unit (on transposed deltas), update d = row of the batch. A chain
 * that stops in memory between two depth blocks goes on with the same bits.
 */
#ifndef FBP_KERNELS_TILE_H
#define FBP_KERNELS_TILE_H

#include "fbp.h"
#include "kernels_lines.h"
#include "vec.h"

#include <assert.h>

enum {
    DEPTH_BLOCK = 256, /* a panel of b, TILE_VECS wide and so deep, just about stays in L1 */
    WIDE_VECS = 8      /* width of a panel for one row, where wide tiles hide the latency of an FMA */
};

typedef struct {
    real *out;             /* [rows][ld_out] */
    const real *init;      /* [rows][ld_init]; ld_init 0 repeats one row (a bias, zeros) */
    const fbp_part *parts; /* a and b along the depth; BY_ROW and LISTED have one part */
    ptrdiff_t n_parts;
    ptrdiff_t a_at, b_at;          /* element (r, d) of a is at a_at + r * a_row + d * a_depth of its part, one stride is 1; */
    ptrdiff_t a_row, a_depth, ldb; /* row d of b is at b_at + d * ldb of its part */
    const int32_t *index;          /* [depth], LISTED only: the elements of a row of a, and the rows of b, to use */
    const real *ahead;             /* prefetch a line of each of these rows, ld_ahead apart; NULL: of b, ahead_at further on */
    ptrdiff_t ld_ahead, ahead_at;
    ptrdiff_t ld_out, ld_init;
} tile;

/* How a and b are read along the depth: a by its rows (forward, delta), by its columns (gradient), or by its rows at the
 * indices of a list (streaming). A constant in every tile. */
enum walk { BY_ROW, BY_COLUMN, LISTED };

INLINE void run_tile(const tile *t, const int rows, const int vecs, const enum walk walk)
{
    const ptrdiff_t a_row = walk == BY_COLUMN ? 1 : t->a_row, a_depth = walk == BY_COLUMN ? t->a_depth : 1;
    const real *ahead = t->ahead;
    vec sum[TILE_ROWS * TILE_VECS];
    assert(rows * vecs <= TILE_ROWS * TILE_VECS && vecs <= WIDE_VECS);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++)
            sum[r * vecs + v] = v_load(t->init + r * t->ld_init + v * LANES);
    for (ptrdiff_t p = 0; p < (walk == BY_COLUMN ? t->n_parts : 1); p++) {
        const fbp_part *part = &t->parts[p];
        const real *const first_a = (const real *)part->x + t->a_at, *const first_b = (const real *)part->dy + t->b_at;
        if (!t->ahead)
            ahead = first_b + t->ahead_at;
        for (ptrdiff_t i = 0; i < part->rows; i++) {
            const ptrdiff_t d = walk == LISTED ? t->index[i] : i;
            const real *a = first_a + d * a_depth, *b = first_b + d * t->ldb;
            vec bv[WIDE_VECS];
            if (walk == BY_COLUMN) /* each row of a is in another page: 1.09x at 1024 wide, batch 4096 */
                __builtin_prefetch(a + LINE);
            if (walk != LISTED) {
                __builtin_prefetch(ahead, 0, 2);
                ahead += t->ld_ahead;
            }
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++)
                bv[v] = v_load(b + v * LANES);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                const vec ar = v_set1(a[r * a_row]);
#pragma GCC unroll 8
                for (int v = 0; v < vecs; v++)
                    sum[r * vecs + v] = v_fma(ar, bv[v], sum[r * vecs + v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++)
            v_store(t->out + r * t->ld_out + v * LANES, sum[r * vecs + v]);
}

#define SHAPE(R, V) \
    case (R) * 16 + (V): run_tile(t, R, V, walk); break;
#define SHAPES(R) SHAPE(R, 1) SHAPE(R, 2) SHAPE(R, 3)
INLINE void tile_of_shape(const tile *t, ptrdiff_t rows, ptrdiff_t vecs, const enum walk walk)
{
    switch (rows * 16 + vecs) {
        SHAPES(1)
        SHAPES(2)
        SHAPES(3)
        SHAPES(4)
        SHAPE(1, 4)
        SHAPE(2, 4)
        SHAPE(1, 8)
#if TILE_ROWS == 8
        SHAPES(5)
        SHAPES(6)
        SHAPES(7)
        SHAPES(8)
        SHAPE(3, 4)
        SHAPE(4, 4)
        SHAPE(5, 4)
        SHAPE(6, 4)
#endif
    default: assert(!"a tile of this shape");
    }
}

static __attribute__((noinline)) void tile_by_row(const tile *t, ptrdiff_t rows, ptrdiff_t vecs)
{
    tile_of_shape(t, rows, vecs, BY_ROW);
}

static __attribute__((noinline)) void tile_by_column(const tile *t, ptrdiff_t rows, ptrdiff_t vecs)
{
    tile_of_shape(t, rows, vecs, BY_COLUMN);
}

static __attribute__((noinline)) void tile_listed(const tile *t, ptrdiff_t rows, ptrdiff_t vecs)
{
    tile_of_shape(t, rows, vecs, LISTED);
}

/* Width of the next panel when `left` vectors remain: TILE_VECS, or FLAT_VECS where that leaves no thin last panel. */
static inline ptrdiff_t panel_vecs(ptrdiff_t rows, ptrdiff_t left)
{
    assert(left > 0);
    if (rows == 1 && left >= WIDE_VECS)
        return WIDE_VECS;
    if (rows <= 2 && left >= 4)
        return 4;
    if (left % TILE_VECS && left >= FLAT_VECS && left != FLAT_VECS + 1)
        return FLAT_VECS;
    return smaller(left, TILE_VECS);
}

/* Height of the next tile of `vecs` vectors when `left` rows remain: the last two tiles share them, so that none is thin. */
static inline ptrdiff_t tile_rows(ptrdiff_t left, ptrdiff_t vecs)
{
    const ptrdiff_t most = vecs == TILE_VECS + 1 ? FLAT_ROWS : TILE_ROWS;
    if (left <= most)
        return left;
    return left < 2 * most ? (left + 1) / 2 : most;
}

/* What to prefetch while a panel is computed: memory in other pages than those being read, where hardware does not prefetch
 * (1.1 to 1.2x at 4096 wide). */
typedef struct {
    ptrdiff_t next_b; /* elements from this panel of b to the next, which is as wide */
    const real *w;    /* rows of weights to update, or NULL */
    ptrdiff_t ldw;
    fbp_prefetch *batch; /* rows that the next step gathers, or NULL */
} prefetches;

/* Makes the tile prefetch the next row of the batch, a line for each step of depth. */
INLINE void prefetch_batch(tile *t, fbp_prefetch *c, ptrdiff_t depth)
{
    t->ahead = (const real *)c->x + (c->order ? c->order[c->row] : c->row) * c->n + c->done;
    /* up to the end of the row, as the next one is elsewhere */
    t->ld_ahead = smaller(LINE, (c->n - c->done + depth - 1) / depth);
    c->done += depth * t->ld_ahead;
    if (c->done >= c->n) {
        c->done = 0;
        c->row++;
    }
}

/* Sets what the tile prefetches: the first tiles the next panel of b, then weights, then rows of the next batch. */
INLINE void set_prefetch(tile *t, prefetches f, ptrdiff_t line, ptrdiff_t width, ptrdiff_t depth)
{
    t->ahead = NULL;
    t->ahead_at = line < width ? f.next_b + line : 0;
    t->ld_ahead = t->ldb;
    if (line >= width && line < 2 * width && f.w) {
        t->ahead = f.w + line - width;
        t->ld_ahead = f.ldw;
    } else if (line >= width && f.batch && f.batch->row < f.batch->end)
        prefetch_batch(t, f.batch, depth);
}

static ptrdiff_t depth_of(const fbp_part *parts, ptrdiff_t n_parts)
{
    ptrdiff_t depth = 0;
    for (ptrdiff_t p = 0; p < n_parts; p++)
        depth += parts[p].rows;
    return depth;
}

/* One panel of `vecs` vectors over `rows` rows. Each tile prefetches one line for each step of depth. */
INLINE void run_panel(tile t, ptrdiff_t rows, ptrdiff_t vecs, prefetches f, const enum walk walk)
{
    const ptrdiff_t width = vecs * LANES, depth = depth_of(t.parts, t.n_parts);
    for (ptrdiff_t line = 0; rows > 0; line += LINE) {
        const ptrdiff_t height = tile_rows(rows, vecs);
        set_prefetch(&t, f, line, width, depth);
        (walk == BY_COLUMN ? tile_by_column : tile_by_row)(&t, height, vecs);
        t.out += height * t.ld_out;
        t.init += height * t.ld_init;
        t.a_at += height * t.a_row;
        rows -= height;
    }
}

/* The same BY_ROW of a[rows][depth] and b[depth][width], in blocks of depth: the first starts from init, the others continue
 * from out. next_b: elements from b to the next panel; 0 after the last panel, where b may belong to another thread. */
INLINE void run_deep_panel(tile t, const real *a, const real *b, ptrdiff_t rows, ptrdiff_t vecs, ptrdiff_t depth,
                           ptrdiff_t next_b)
{
    for (ptrdiff_t d = 0; d == 0 || d < depth; d += DEPTH_BLOCK) {
        const fbp_part part = {a + d, b + d * t.ldb, smaller(depth - d, DEPTH_BLOCK)};
        const int last = d + DEPTH_BLOCK >= depth;
        t.parts = &part;
        t.n_parts = 1;
        run_panel(t, rows, vecs, (prefetches){.next_b = !last ? DEPTH_BLOCK * t.ldb : next_b ? next_b - d * t.ldb : 0}, BY_ROW);
        t.init = t.out;
        t.ld_init = t.ld_out;
    }
}

static const real ZEROS[WIDE_VECS * 16] __attribute__((aligned(64)));

#endif
