/* kernels_dense.h: the dense layer: forward, delta and update side by side. Part of kernels.h. */

/* y = f(x w + b): panels of columns; within a panel, blocks of depth over all rows, so that a block of w is read from L1. */
static void KERNEL(dense_forward)(void *y_, const void *x, const void *w_, const void *b_, ptrdiff_t batch,
                                  ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldy, ptrdiff_t ldx, ptrdiff_t ldw,
                                  fbp_activation activation)
{
    real *y = y_;
    const real *w = w_, *b = b_;
    for (ptrdiff_t v = 0, total = vecs_of(n_out), width; v < total; v += width) {
        const ptrdiff_t j = v * LANES;
        width = panel_vecs(batch, total - v);
        const tile t = {.out = y + j, .init = b + j, .a = x, .b = w + j, .ld_out = ldy, .ld_init = 0,
                        .a_row = ldx, .a_depth = 1, .ldb = ldw};
        run_deep_panel(t, batch, width, n_in, t.b + width * LANES);
        if (activation != FBP_LINEAR)
            activate_panel(y + j, ldy, batch, width, n_out - j, activation);
    }
    if (activation == FBP_SOFTMAX)
        softmax_rows(y, batch, n_out, ldy);
}

/* out[n][ld] = in[rows][ldin] transposed, columns from `rows` up to ld zero. */
static void transpose(real *out, const real *in, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, ptrdiff_t ldin)
{
    for (ptrdiff_t j = 0; j < n; j += LANES)
        for (ptrdiff_t b = 0; b < ld; b += LANES) {
            vec t[LANES];
            for (int i = 0; i < LANES; i++)
                t[i] = b + i < rows ? v_load(in + (b + i) * ldin + j) : v_set1(0);
            v_transpose(t);
            for (int i = 0; i < LANES && j + i < n; i++)
                v_store(out + (j + i) * ld + b, t[i]);
        }
}

/* One block dxt[n][ld] of transposed deltas turned back into n columns (padded) of dx[rows][ldx]. */
static void turn_back(real *dx, const real *dxt, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldx, ptrdiff_t ld)
{
    for (ptrdiff_t b = 0; b < rows; b += LANES)
        for (ptrdiff_t k = 0; k < n; k += LANES) {
            vec t[LANES];
            for (int i = 0; i < LANES; i++)
                t[i] = v_load(dxt + (k + i) * ld + b);
            v_transpose(t);
            for (int i = 0; i < LANES && b + i < rows; i++)
                v_store(dx + (b + i) * ldx + k, t[i]);
        }
}

/* dx^T = w dy^T, chains over j ascending: lanes are rows of the batch, so w is read as it lies, and turning dy and dx costs
 * one part in n_out and n_in of the product. Depth outside, panels inside: a block of w is read once. scratch: dy^T[n_out][ld], then a block dx^T[FBP_DELTA_UNITS][ld]. */
static void delta_chained(real *dx, const real *dy, const real *w, const real *x, real *scratch, ptrdiff_t rows,
                          ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw,
                          fbp_activation activation)
{
    const ptrdiff_t total = vecs_of(rows), ld = total * LANES;
    real *const dyt = scratch, *const dxt = scratch + n_out * ld;
    transpose(dyt, dy, rows, n_out, ld, ldy);
    for (ptrdiff_t k = 0; k < n_in; k += FBP_DELTA_UNITS) {
        const ptrdiff_t units = smaller(n_in - k, FBP_DELTA_UNITS), padded = lines_of(units) * LINE;
        for (ptrdiff_t j = 0; j < n_out; j += DEPTH_BLOCK)
            for (ptrdiff_t v = 0, width; v < total; v += width) {
                width = panel_vecs(units, total - v);
                real *const out = dxt + v * LANES;
                const tile t = {.out = out, .init = j ? out : ZEROS, .a = w + k * ldw + j, .b = dyt + j * ld + v * LANES,
                                .ld_out = ld, .ld_init = j ? ld : 0, .a_row = ldw, .a_depth = 1, .ldb = ld,
                                .depth = smaller(n_out - j, DEPTH_BLOCK)};
                run_panel(t, units, width, (coming){.b = t.b + t.depth * ld}, BY_ROW);
            }
        memset(dxt + units * ld, 0, (size_t)((padded - units) * ld) * sizeof(real));
        turn_back(dx + k, dxt, rows, padded, ldx, ld);
        slope_panel(dx + k, x + k, ldx, rows, padded / LANES, activation);
    }
}

/* dx = dy w^T as folded sums over j, LANES input units at a time: for batches too small to fill lanes with rows. */
static void delta_folded(real *dx, const real *dy, const real *w, ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out,
                         ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw)
{
    for (ptrdiff_t k = 0; k < lines_of(n_in) * LINE; k += LANES)
        for (ptrdiff_t b = 0; b < rows; b++) {
            vec sums[LANES];
            for (int i = 0; i < LANES; i++)
                sums[i] = k + i < n_in ? line_dot(dy + b * ldy, w + (k + i) * ldw, n_out) : v_set1(0);
            v_store(dx + b * ldx + k, v_fold_sums(sums));
        }
}

static void KERNEL(dense_delta)(void *dx, const void *dy, const void *w, const void *x, void *scratch, ptrdiff_t batch,
                                ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldx, ptrdiff_t ldy,
                                ptrdiff_t ldw, fbp_activation activation)
{
    const fbp_activation in_block = activation == FBP_SOFTMAX ? FBP_LINEAR : activation; /* softmax needs whole rows */
    if (batch > FBP_FOLD_ROWS)
        delta_chained(dx, dy, w, x, scratch, rows, n_in, n_out, ldx, ldy, ldw, in_block);
    else
        delta_folded(dx, dy, w, rows, n_in, n_out, ldx, ldy, ldw);
    if (batch <= FBP_FOLD_ROWS || activation == FBP_SOFTMAX)
        KERNEL(activation_delta)(dx, x, rows, n_in, ldx, activation);
}

/* The rule's constants, spread over vectors once per call. */
typedef struct {
    vec minus_lr, momentum, decay;
} rule_vecs;

INLINE rule_vecs rule_constants(const fbp_update *u)
{
    return (rule_vecs){v_set1((real)-u->learning_rate), v_set1((real)u->momentum), v_set1((real)(2 * u->l2))};
}

/* One vector of weights and its velocity by their finished gradient g. */
INLINE void apply_rule(real *w, real *v, vec g, const rule_vecs *c, const fbp_rule rule)
{
    const vec weight = v_load(w), slope = v_fma(c->decay, weight, g);
    switch (rule) {
    case FBP_GRADIENT: v_store(w, g); return;
    case FBP_SGD: v_store(w, v_fma(c->minus_lr, slope, weight)); return;
    default: break;
    }
    const vec velocity = v_fma(c->momentum, v_load(v), slope);
    v_store(v, velocity);
    v_store(w, v_fma(c->minus_lr, rule == FBP_NESTEROV ? v_fma(c->momentum, velocity, slope) : velocity, weight));
}

/* The rule as a constant: body is called with `rule` a literal. */
#define WITH_RULE(u, body)                                                    \
    switch ((u)->rule) {                                                      \
    case FBP_GRADIENT: { const fbp_rule rule = FBP_GRADIENT; body; break; }   \
    case FBP_SGD: { const fbp_rule rule = FBP_SGD; body; break; }             \
    case FBP_MOMENTUM: { const fbp_rule rule = FBP_MOMENTUM; body; break; }   \
    default: { const fbp_rule rule = FBP_NESTEROV; body; break; }             \
    }

/* w and v [rows][n] (leading dimension ld) by the finished gradient g[rows][ldg]; n a whole number of vectors. */
INLINE void apply_to_panel(real *w, real *v, const real *g, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, ptrdiff_t ldg,
                           const fbp_update *u, const fbp_rule rule)
{
    const rule_vecs c = rule_constants(u);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < n; j += LANES)
            apply_rule(w + r * ld + j, v + r * ld + j, v_load(g + r * ldg + j), &c, rule);
}

static void update_panel(real *w, real *v, const real *g, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, ptrdiff_t ldg,
                         const fbp_update *u)
{
    WITH_RULE(u, apply_to_panel(w, v, g, rows, n, ld, ldg, u, rule))
}

/* g[rows][n], the whole gradient of a block of weights: each 256 rows of the batch a chain from zero, the block sums added in
 * ascending order. Row blocks outside, panels inside, so that x, dy and g stay in L2 however large the batch.
 * block[rows][panel] is scratch; w[rows][ldw] are the weights that the gradient is for, only fetched here. */
static void gradient_block(real *g, real *block, const real *x, const real *dy, const real *w, ptrdiff_t batch,
                           ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldx, ptrdiff_t ldy, ptrdiff_t ldw)
{
    for (ptrdiff_t b = 0; b == 0 || b < batch; b += FBP_UPDATE_ROWS)
        for (ptrdiff_t v = 0, total = n / LANES, width; v < total; v += width) {
            const ptrdiff_t j = v * LANES;
            width = panel_vecs(TILE_ROWS, total - v);
            const tile t = {.out = b ? block : g + j, .init = ZEROS, .a = x + b * ldx, .b = dy + b * ldy + j,
                            .ld_out = b ? width * LANES : n, .ld_init = 0, .a_row = 1, .a_depth = ldx, .ldb = ldy,
                            .depth = smaller(batch - b, FBP_UPDATE_ROWS)};
            run_panel(t, rows, width, (coming){t.b + width * LANES, w + j, ldw}, BY_COLUMN);
            for (ptrdiff_t r = 0; b && r < rows; r++)
                for (ptrdiff_t i = 0; i < width * LANES; i += LANES)
                    v_store(g + r * n + j + i, v_load(g + r * n + j + i) + v_load(block + r * width * LANES + i));
        }
}

/* The gradient of a block of weights is still in cache when the optimizer reads it: no dw array, w read and written once. One
 * panel at a time, in L1, where the batch is one block of rows; several, in L2, where it is more. */
static void KERNEL(dense_update)(void *w, void *velocity, const void *x, const void *dy, void *scratch, ptrdiff_t batch,
                                 ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t ldw, ptrdiff_t ldx, ptrdiff_t ldy,
                                 const fbp_update *update)
{
    const ptrdiff_t most_rows = fbp_update_block_rows(batch), single = batch <= FBP_UPDATE_ROWS;
    real *const block = scratch, *const g = block + most_rows * TILE_VECS * LANES;
    for (ptrdiff_t k = 0, rows; k < n_in; k += rows) {
        rows = smaller(n_in - k, most_rows);
        for (ptrdiff_t v = 0, total = vecs_of(n_out), width; v < total; v += width) {
            const ptrdiff_t j = v * LANES, at = k * ldw + j;
            width = single ? panel_vecs(TILE_ROWS, total - v) : smaller(total - v, FBP_UPDATE_LINES * LINE_VECS);
            gradient_block(g, block, (const real *)x + k, (const real *)dy + j, (real *)w + at, batch, rows, width * LANES,
                           ldx, ldy, ldw);
            update_panel((real *)w + at, velocity ? (real *)velocity + at : NULL, g, rows, width * LANES, ldw,
                         width * LANES, update);
        }
    }
}

/* One row of weights by its gradient, the chain of x[b] dy[b] over a batch of at most one gradient block. */
INLINE void update_row(real *w, real *v, const real *x, const real *dy, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ldx,
                       ptrdiff_t ldy, const rule_vecs *c, const fbp_rule rule)
{
    for (ptrdiff_t j = 0; j < lines_of(n) * LINE; j += LANES) {
        vec g = v_set1(0);
        for (ptrdiff_t b = 0; b < batch; b++)
            g = v_fma(v_set1(x[b * ldx]), v_load(dy + b * ldy + j), g);
        apply_rule(w + j, v + j, g, c, rule);
    }
}

/* A bias is a weight whose input is always 1, and carries no penalty. */
static void KERNEL(bias_update)(void *b, void *velocity, const void *dy, ptrdiff_t batch, ptrdiff_t n_out, ptrdiff_t ldy,
                                const fbp_update *update)
{
    static const real ONE = 1;
    fbp_update plain = *update;
    plain.l2 = 0;
    if (batch <= FBP_FOLD_ROWS) {
        const rule_vecs c = rule_constants(&plain);
        WITH_RULE(update, update_row(b, velocity, &ONE, dy, batch, n_out, 0, ldy, &c, rule))
        return;
    }
    real g[TILE_VECS * LANES] __attribute__((aligned(64))), block[TILE_VECS * LANES] __attribute__((aligned(64)));
    for (ptrdiff_t v = 0, total = vecs_of(n_out), width; v < total; v += width) {
        const ptrdiff_t j = v * LANES;
        width = panel_vecs(TILE_ROWS, total - v);
        gradient_block(g, block, &ONE, (const real *)dy + j, (real *)b + j, batch, 1, width * LANES, 0, ldy, 0);
        update_panel((real *)b + j, velocity ? (real *)velocity + j : NULL, g, 1, width * LANES, 0, 0, &plain);
    }
}
