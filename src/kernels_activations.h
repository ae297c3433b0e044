/* kernels_activations.h: the element-wise activations over panels of rows, forward and backward. Part of kernels.h. */

/* z[rows][vecs] = f(z); where f(0) is not 0 the lanes from `used` on are set back to zero. slope = f', unless NULL. */
INLINE void activate_rows(real *z, real *slope, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t vecs, ptrdiff_t used, vec a,
                          const fbp_activation_code code, const int zero_at_zero)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < vecs * LANES; j += LANES) {
            const ptrdiff_t at = r * ld + j;
            const vec x = v_load(z + at), y = v_activation(x, a, code);
            v_store(z + at, zero_at_zero ? y : v_keep(y, lanes_before(j, used)));
            if (slope)
                v_store(slope + at, v_slope(y, x, a, code));
        }
}

static void activate_panel(real *z, real *slope, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t vecs, ptrdiff_t used,
                           fbp_activation activation)
{
    const vec a = v_set1((real)activation.parameter);
#define ACTIVATE(code, f, slope_of, zero_at_zero)                                        \
    case code:                                                                           \
        if (slope)                                                                       \
            activate_rows(z, slope, ld, rows, vecs, used, a, code, zero_at_zero);        \
        else                                                                             \
            activate_rows(z, NULL, ld, rows, vecs, used, a, code, zero_at_zero);         \
        break;
    switch (activation.code) {
        FBP_ELEMENTWISE(ACTIVATE)
    default: break;
    }
#undef ACTIVATE
}

INLINE void slope_rows(real *dx, const real *y, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t vecs, vec a,
                       const fbp_activation_code code)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = r * ld; j < r * ld + vecs * LANES; j += LANES) {
            const vec of_y = v_load(y + j);
            v_store(dx + j, v_load(dx + j) * v_slope(of_y, of_y, a, code));
        }
}

/* dx[rows][vecs] *= f'(y). */
static void slope_panel(real *dx, const real *y, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t vecs, fbp_activation activation)
{
    const vec a = v_set1((real)activation.parameter);
#define SLOPE(code, f, slope, zero_at_zero) \
    case code: slope_rows(dx, y, ld, rows, vecs, a, code); break;
    switch (activation.code) {
        FBP_ELEMENTWISE(SLOPE)
    default: break;
    }
#undef SLOPE
}

static void KERNEL(activate)(void *z, ptrdiff_t n, fbp_activation activation)
{
    activate_panel(z, NULL, 0, 1, n / LANES, n, activation);
}
