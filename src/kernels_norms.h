/* kernels_norms.h: sums of squares of columns, for limits on norms. Part of kernels.h. */

/* In double: the square of a float is exact, and a column's sum is one chain over its rows, so no lane width shows. */
static void KERNEL(column_squares)(double *out, const void *a, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    memset(out, 0, (size_t)n * sizeof *out);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < n; j++) {
            const double value = ((const real *)a)[r * ld + j];
            out[j] += value * value;
        }
}

static void KERNEL(limit_columns)(void *w_, const double *squares, ptrdiff_t n_sums, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldw,
                                  ptrdiff_t ld_sums, double max_norm)
{
    for (ptrdiff_t j = 0; j < n; j += LINE) {
        real *w = (real *)w_ + j, factor[LINE];
        int above = 0;
        for (int i = 0; i < LINE; i++) {
            double sum = 0;
            for (ptrdiff_t s = 0; s < n_sums; s++)
                sum += squares[s * ld_sums + j + i];
            const int over = sum > max_norm * max_norm;
            factor[i] = over ? (real)(max_norm / __builtin_sqrt(sum)) : 1;
            above |= over;
        }
        for (ptrdiff_t r = 0; above && r < rows; r++, w += ldw)
            for (int i = 0; i < LINE; i += LANES)
                v_store(w + i, v_load(w + i) * v_load(factor + i));
    }
}
