"""The loops of an exported network over the numbers of a row, as C99.

Each is one row's part of a kernel in ``src/``, with the same operations in the same order. ``@``
stands before the names that get a prefix, see `c99_functions`.
"""

from __future__ import annotations

from .c99_functions import Activation

__all__ = ["LOOPS", "activation_loops"]

LOOPS = {
    "LANES": "enum { @LANES = 64 / sizeof(@real) }; /* of a sum, as in fastbp */",
    "fold": """static @real @fold(@real *sum)
{
    size_t half, i;
    for (half = @LANES / 2; half > 0; half /= 2)
        for (i = 0; i < half; i++)
            sum[i] = sum[i] + sum[i + half];
    return sum[0];
}""",
    "dense": """\
/* y = x w + b: a chain for each output, over the inputs in order, from its bias on. */
static void @dense(const @real *FASTBP_RESTRICT x, const @real *FASTBP_RESTRICT w,
                   const @real *FASTBP_RESTRICT b, @real *FASTBP_RESTRICT y, size_t n_in,
                   size_t n_out)
{
    const size_t fours = (n_in - 1) / 4;
    size_t i, j, k = 1;
    for (j = 0; j < n_out; j++)
        y[j] = @fma(x[0], w[j], b[j]);
    for (i = 0; i < fours; i++, k += 4) {
        const @real x0 = x[k], x1 = x[k + 1], x2 = x[k + 2], x3 = x[k + 3];
        const @real *FASTBP_RESTRICT w0 = w + k * n_out;
        const @real *FASTBP_RESTRICT w1 = w0 + n_out;
        const @real *FASTBP_RESTRICT w2 = w1 + n_out;
        const @real *FASTBP_RESTRICT w3 = w2 + n_out;
        for (j = 0; j < n_out; j++)
            y[j] = @fma(x3, w3[j], @fma(x2, w2[j], @fma(x1, w1[j], @fma(x0, w0[j], y[j]))));
    }
    for (k = 1 + 4 * fours; k < n_in; k++)
        for (j = 0; j < n_out; j++)
            y[j] = @fma(x[k], w[k * n_out + j], y[j]);
}""",
    "dense_back": """/* dx = dy w^T: of each input a sum in lanes, which are added by halves.
 * Each piece of the outputs, n of them, begins with the first lane. */
static void @dense_back(const @real *FASTBP_RESTRICT dy, const @real *FASTBP_RESTRICT w,
                        @real *FASTBP_RESTRICT dx, size_t n_in, size_t n, size_t pieces)
{
    size_t i, j, k, p;
    for (k = 0; k < n_in; k++) {
        @real sum[@LANES];
        for (i = 0; i < @LANES; i++)
            sum[i] = 0;
        for (p = 0; p < pieces; p++) {
            const @real *const d = dy + p * n, *const row = w + (k * pieces + p) * n;
            for (j = 0; j + @LANES <= n; j += @LANES)
                for (i = 0; i < @LANES; i++)
                    sum[i] = @fma(d[j + i], row[j + i], sum[i]);
            for (i = 0; j + i < n; i++)
                sum[i] = @fma(d[j + i], row[j + i], sum[i]);
        }
        dx[k] = @fold(sum);
    }
}""",
    "apply_softmax": """static void @apply_softmax(@real *y, size_t n)
{
    @real most = y[0], sum[@LANES], scale;
    size_t j;
    for (j = 1; j < n; j++)
        most = @max(y[j], most);
    for (j = 0; j < n; j++)
        y[j] = @exp(y[j] - most);
    for (j = 0; j < @LANES; j++)
        sum[j] = 0;
    for (j = 0; j < n; j++)
        sum[j % @LANES] += y[j];
    scale = 1 / @fold(sum);
    for (j = 0; j < n; j++)
        y[j] = y[j] * scale;
}""",
    "back_softmax": """/* dz = y (dy - sum of dy y) */
static void @back_softmax(const @real *dy, const @real *out, @real *dz, size_t n)
{
    @real sum[@LANES], mean;
    size_t j;
    for (j = 0; j < @LANES; j++)
        sum[j] = 0;
    for (j = 0; j < n; j++)
        sum[j % @LANES] = @fma(dy[j], out[j], sum[j % @LANES]);
    mean = @fold(sum);
    for (j = 0; j < n; j++)
        dz[j] = out[j] * (dy[j] - mean);
}""",
    "times": """static void @times(const @real *a, const @real *b, @real *out, size_t n)
{
    size_t j;
    for (j = 0; j < n; j++)
        out[j] = a[j] * b[j];
}""",
    "add": """static void @add(const @real *a, const @real *b, @real *out, size_t n)
{
    size_t j;
    for (j = 0; j < n; j++)
        out[j] = a[j] + b[j];
}""",
    "largest": """/* The largest piece; not a number if any is none. */
static inline @real @largest(const @real *z, size_t n, size_t pieces)
{
    @real best = z[0], bad = best * 0;
    size_t p;
    for (p = 1; p < pieces; p++) {
        bad = @fma(z[p * n], 0, bad);
        best = @select(@less(best, z[p * n]), z[p * n], best);
    }
    return best + bad;
}""",
    "maxout": """static void @maxout(const @real *z, @real *y, size_t n, size_t pieces)
{
    size_t j;
    for (j = 0; j < n; j++)
        y[j] = @largest(z + j, n, pieces);
}""",
    "maxout_back": """/* dz = dy for the first of the largest pieces, 0 for the others. */
static void @maxout_back(const @real *dy, const @real *z, @real *dz, size_t n, size_t pieces)
{
    size_t j, p;
    for (j = 0; j < n; j++) {
        const @real best = @largest(z + j, n, pieces);
        @real left = dy[j];
        for (p = 0; p < pieces; p++) {
            const @integer loses = @less(z[p * n + j], best);
            dz[p * n + j] = @select(loses, 0, left);
            left = @select(loses, left, 0);
        }
    }
}""",
    "map_columns": """static void @map_columns(const @real *x, @real *out, size_t n)
{
    size_t j;
    for (j = 0; j < n; j++)
        out[j] = (@real)(((double)x[j] - @mean[j]) * @matrix[j]);
}""",
    "map_columns_back": """static void @map_columns_back(const @real *dy, @real *dx, size_t n)
{
    size_t j;
    for (j = 0; j < n; j++)
        dx[j] = (@real)((double)dy[j] * @matrix[j]);
}""",
    "map_rows": """static void @map_rows(const @real *x, @real *out, size_t n_in, size_t n_out)
{
    size_t i, j, k;
    for (j = 0; j < n_out; j += 8) {
        const size_t n = n_out - j < 8 ? n_out - j : 8;
        double sum[8];
        for (i = 0; i < 8; i++)
            sum[i] = 0;
        for (k = 0; k < n_in; k++) {
            const double centred = (double)x[k] - @mean[k];
            for (i = 0; i < n; i++)
                sum[i] = @fma_double(centred, @matrix[k * n_out + j + i], sum[i]);
        }
        for (i = 0; i < n; i++)
            out[j + i] = (@real)sum[i];
    }
}""",
    "map_rows_back": """static void @map_rows_back(const @real *dy, @real *dx, size_t n_in,
                           size_t n_out)
{
    size_t j, k;
    for (k = 0; k < n_in; k++) {
        double sum = 0;
        for (j = 0; j < n_out; j++)
            sum = @fma_double((double)dy[j], @matrix[k * n_out + j], sum);
        dx[k] = (@real)sum;
    }
}""",
}


def activation_loops(tag: str, of: Activation, parameter: str | None) -> dict[str, str]:
    """Return the loops of an element-wise activation, forward and back, alone and as a gate.

    Parameters
    ----------
    tag : str
        The last part of their names.
    of : Activation
    parameter : str or None
        As a number of C.
    """
    a = "" if parameter is None else f"        const @real a = {parameter};\n"
    loops = {
        f"apply_{tag}": f"""static void @apply_{tag}(@real *y, size_t n)
{{
    size_t j;
    for (j = 0; j < n; j++) {{
        const @real z = y[j];
{a}        y[j] = {of.f};
    }}
}}""",
        f"product_{tag}": f"""static void @product_{tag}(const @real *pieces, @real *y, size_t n)
{{
    size_t j;
    for (j = 0; j < n; j++) {{
        const @real z = pieces[n + j];
{a}        y[j] = pieces[j] * {of.f};
    }}
}}""",
        f"product_back_{tag}": f"""\
static void @product_back_{tag}(const @real *dy, const @real *pieces,
                                    @real *dz, size_t n)
{{
    size_t j;
    for (j = 0; j < n; j++) {{
        const @real z = pieces[n + j];
{a}        const @real y = {of.f};
        dz[j] = dy[j] * y;
        dz[n + j] = dy[j] * pieces[j] * {of.slope};
    }}
}}""",
    }
    if of.slope_reads("z"):
        loops[f"keep_{tag}"] = f"""/* and f' for the way back */
static void @keep_{tag}(@real *y, @real *slope, size_t n)
{{
    size_t j;
    for (j = 0; j < n; j++) {{
        const @real z = y[j];
{a}        y[j] = {of.f};
        slope[j] = {of.slope};
    }}
}}"""
        return loops
    unused, y = "    (void)out;\n", ""
    if of.slope_reads("y"):
        unused, y = "", "        const @real y = out[j];\n"
    a = a if of.slope_reads("a") else ""
    loops[f"back_{tag}"] = f"""static void @back_{tag}(const @real *dy, const @real *out,
                            @real *dz, size_t n)
{{
    size_t j;
{unused}    for (j = 0; j < n; j++) {{
{y}{a}        dz[j] = dy[j] * {of.slope};
    }}
}}"""
    return loops
