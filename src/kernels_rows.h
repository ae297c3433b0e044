/* kernels_rows.h: kernels that work on whole rows: softmax and its derivative, and the losses with their deltas.
 * Part of kernels.h. Sums over a row are folded sums over the virtual lanes of a line. */

/* First index of the largest of n. */
static ptrdiff_t argmax(const real *x, ptrdiff_t n)
{
    ptrdiff_t best = 0;
    for (ptrdiff_t j = 1; j < n; j++)
        if (x[j] > x[best])
            best = j;
    return best;
}

static real row_max(const real *z, ptrdiff_t n)
{
    vec most[LINE_VECS];
    const vec lowest = v_set1(-(real)__builtin_inf());
    for (int l = 0; l < LINE_VECS; l++)
        most[l] = lowest;
    FOR_LINE_VECS (j, l, n)
        most[l] = v_max(most[l], v_select(v_first(lanes_before(j, n)), v_load(z + j), lowest));
    return fold_max(most);
}

/* y[n] = e^(z - max z), padding zero; returns the sum. y may be z. */
static real exp_row(real *y, const real *z, real max, ptrdiff_t n)
{
    vec sum[LINE_VECS];
    for (int l = 0; l < LINE_VECS; l++)
        sum[l] = v_set1(0);
    FOR_LINE_VECS (j, l, n) {
        const vec e = v_keep(v_exp(v_load(z + j) - v_set1(max)), lanes_before(j, n));
        v_store(y + j, e);
        sum[l] = sum[l] + e;
    }
    return fold_sum(sum);
}

static void softmax_rows(real *z, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t b = 0; b < batch; b++, z += ld) {
        const vec scale = v_set1(1 / exp_row(z, z, row_max(z, n), n));
        FOR_LINE_VECS (j, l, n)
            v_store(z + j, v_load(z + j) * scale);
    }
}

/* delta = y * (g - sum(g y)): the derivative of softmax applied to g, which is delta before the call. */
static void softmax_delta_rows(real *delta, const real *y, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t b = 0; b < batch; b++, delta += ld, y += ld) {
        vec sum[LINE_VECS];
        for (int l = 0; l < LINE_VECS; l++)
            sum[l] = v_set1(0);
        FOR_LINE_VECS (j, l, n)
            sum[l] = v_fma(v_load(delta + j), v_load(y + j), sum[l]);
        const vec mean = v_set1(fold_sum(sum));
        FOR_LINE_VECS (j, l, n)
            v_store(delta + j, v_load(y + j) * (v_load(delta + j) - mean));
    }
}

/* dL/dy -> dL/dz in place: times the derivative of the activation that gave y. */
static void KERNEL(activation_delta)(void *delta, const void *y, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t ld,
                                     fbp_activation activation)
{
    if (activation == FBP_SOFTMAX)
        softmax_delta_rows(delta, y, batch, n, ld);
    else
        slope_panel(delta, y, ld, batch, vecs_of(n), activation);
}

/* squared_error: factor 1/2; mse: factor 1/n. L = factor * sum (y - t)^2, dL/dy = 2 factor (y - t). */
static real squared_row(real *delta, const real *y, const real *t, ptrdiff_t n, real factor, real scale)
{
    vec sum[LINE_VECS];
    const vec slope = v_set1(2 * factor * scale);
    for (int l = 0; l < LINE_VECS; l++)
        sum[l] = v_set1(0);
    FOR_LINE_VECS (j, l, n) {
        const vec d = v_load(y + j) - v_load(t + j);
        sum[l] = v_fma(d, d, sum[l]);
        v_store(delta + j, slope * d);
    }
    return factor * fold_sum(sum);
}

/* L = -sum t log softmax(z) for targets that sum to 1; dL/dz = p - t. */
static real cross_entropy_row(real *delta, const real *z, const real *t, ptrdiff_t n, real scale)
{
    const real max = row_max(z, n);
    vec dot[LINE_VECS];
    for (int l = 0; l < LINE_VECS; l++)
        dot[l] = v_set1(0);
    FOR_LINE_VECS (j, l, n)
        dot[l] = v_fma(v_load(t + j), v_keep(v_load(z + j) - v_set1(max), lanes_before(j, n)), dot[l]);
    const real sum = exp_row(delta, z, max, n);
    const vec per_sum = v_set1(1 / sum), s = v_set1(scale);
    FOR_LINE_VECS (j, l, n)
        v_store(delta + j, s * v_fma(v_load(delta + j), per_sum, -v_load(t + j)));
    real log_sum[LANES];
    v_store(log_sum, v_log(v_set1(sum)));
    return log_sum[0] - fold_sum(dot);
}

/* L = sum over outputs of -t log p - (1-t) log(1-p) = max(z,0) - t z + log(1 + e^-|z|), p = sigmoid(z); dL/dz = p - t. */
static real binary_cross_entropy_row(real *delta, const real *z, const real *t, ptrdiff_t n, real scale)
{
    vec sum[LINE_VECS];
    for (int l = 0; l < LINE_VECS; l++)
        sum[l] = v_set1(0);
    FOR_LINE_VECS (j, l, n) {
        const vec zj = v_load(z + j), tj = v_load(t + j), e = v_exp(-v_abs(zj));
        const vec loss = v_fma(-tj, zj, v_max(v_set1(0), zj)) + v_log1p(e);
        const vec p = v_select(v_less(zj, v_set1(0)), e, v_set1(1)) / (v_set1(1) + e);
        const ptrdiff_t keep = lanes_before(j, n);
        sum[l] = sum[l] + v_keep(loss, keep);
        v_store(delta + j, v_keep(v_set1(scale) * (p - tj), keep));
    }
    return fold_sum(sum);
}

/* A class is the largest output; with one output, whether the probability is above one half (z above zero). */
static int row_hit(const real *output, const real *t, ptrdiff_t n, int logits)
{
    if (n == 1)
        return (output[0] > (logits ? 0 : (real)0.5)) == (t[0] > (real)0.5);
    return argmax(output, n) == argmax(t, n);
}

static void KERNEL(loss_delta)(void *delta, double *row_loss, uint8_t *hit, const void *output, const void *target,
                               ptrdiff_t batch, ptrdiff_t n_out, ptrdiff_t ld, fbp_loss loss, fbp_activation activation,
                               double scale)
{
    const int logits = fbp_loss_from_logits(loss, activation);
    for (ptrdiff_t b = 0; b < batch; b++) {
        real *d = (real *)delta + b * ld;
        const real *y = (const real *)output + b * ld, *t = (const real *)target + b * ld;
        if (hit)
            hit[b] = (uint8_t)row_hit(y, t, n_out, logits);
        switch (loss) {
        case FBP_CROSS_ENTROPY: row_loss[b] = cross_entropy_row(d, y, t, n_out, (real)scale); break;
        case FBP_BINARY_CROSS_ENTROPY: row_loss[b] = binary_cross_entropy_row(d, y, t, n_out, (real)scale); break;
        case FBP_MSE: row_loss[b] = squared_row(d, y, t, n_out, 1 / (real)n_out, (real)scale); break;
        default: row_loss[b] = squared_row(d, y, t, n_out, (real)0.5, (real)scale); break;
        }
    }
    if (!logits)
        KERNEL(activation_delta)(delta, output, batch, n_out, ld, activation);
}
