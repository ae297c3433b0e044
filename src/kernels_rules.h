/* kernels_rules.h: how a finished gradient is clipped, penalized and applied to the weight. */
#ifndef FBP_KERNELS_RULES_H
#define FBP_KERNELS_RULES_H

#include "fbp.h"
#include "kernels_scale.h"
#include "vec.h"

#include <assert.h>

/* The constants of an update as vectors, made once per call. */
typedef struct {
    vec minus_lr, momentum, decay;                            /* of every rule */
    vec fresh, square_decay, fresh_square, eps, root, shrink; /* of the rules that divide by a root */
    vec least, most;                                          /* squares in between are stored as they are */
    vec l1, minus_clip, scale, rest;                          /* of the extras: see has_extras */
} rule_vecs;

/* v is stored as it is from LEAST to MOST: there squares of floats that are lost at the ends of the range do not show. */
#if FBP_REAL_BITS == 32
static const real LEAST_SQUARE = 0x1p-100f, MOST_SQUARE = 0x1p126f, FINEST_EPS = 0x1p-38f;
#else
static const real LEAST_SQUARE = 0x1p-960, MOST_SQUARE = 0x1p1020, FINEST_EPS = 0x1p-458;
#endif

/* The least v that is stored as it is: 0 if eps hides the root of any that is lost. */
INLINE real least_square(const fbp_update *u) { return u->eps < FINEST_EPS * u->root_correction ? LEAST_SQUARE : 0; }

INLINE rule_vecs rule_constants(const fbp_update *u)
{
    real rest;
    const real scale = scale_factor(u->gradient_scale, &rest);
    return (rule_vecs){
        .minus_lr = v_set1(-(real)(u->learning_rate * u->step_correction)),
        .momentum = v_set1((real)u->momentum),
        .decay = v_set1((real)(2 * u->l2)),
        .fresh = v_set1((real)(1 - u->momentum)),
        .square_decay = v_set1((real)u->square_decay),
        .fresh_square = v_set1((real)(1 - u->square_decay)),
        .eps = v_set1((real)u->eps),
        .root = v_set1((real)u->root_correction),
        .shrink = v_set1((real)(1 - u->learning_rate * u->weight_decay)),
        .l1 = v_set1((real)u->l1),
        .minus_clip = v_set1(u->clip_value > 0 ? (real)-u->clip_value : (real)-__builtin_inf()),
        .least = v_set1(least_square(u)),
        .most = v_set1(MOST_SQUARE),
        .scale = v_set1(scale),
        .rest = v_set1(rest),
    };
}

/* The constants for a bias: see fbp_bias_update. */
INLINE rule_vecs bias_constants(rule_vecs c, const fbp_update *u)
{
    if (!u->penalize_bias)
        c.decay = c.l1 = v_set1(0);
    if (!u->decay_bias)
        c.shrink = v_set1(1);
    return c;
}

/* Has the update more than its rule and the l2 penalty: clipping, scaling or l1? */
INLINE int has_extras(const fbp_update *u) { return u->l1 != 0 || u->clip_value > 0 || u->gradient_scale != 1; }

/* g limited to -clip .. clip (NaN stays), times the scale. */
INLINE vec clipped(vec g, const rule_vecs *c)
{
    g = v_max(c->minus_clip, g);
    return -v_max(c->minus_clip, -g) * c->scale * c->rest;
}

/* l1 with the sign of the weight, 0 for a zero weight. */
INLINE vec l1_slope(vec weight, const rule_vecs *c)
{
    return v_select(v_less(v_set1(0), v_abs(weight)), v_copysign(c->l1, weight), v_set1(0));
}

/* The root of the new v, whose squares may overflow or underflow. Writes v as it is stored: minus its root if it is too large
 * or too small. */
INLINE vec extreme_root(vec *square, vec before, vec slope, const rule_vecs *c, const fbp_rule rule)
{
    const ivec stored_root = v_less(before, v_set1(0));
    const vec old = v_select(stored_root, -before, v_sqrt(before)), size = v_abs(slope);
    const vec largest = v_max(v_max(old, size), v_set1(SMALLEST_NORMAL)), p = old / largest, q = size / largest;
    const vec sum = rule == FBP_ADAGRAD ? v_fma(p, p, q * q) : v_fma(c->square_decay, p * p, c->fresh_square * (q * q));
    const vec root = largest * v_sqrt(sum), plain = root * root;
    const ivec too_small = v_less(plain, v_set1(LEAST_SQUARE)) & v_less(v_set1(0), root);
    *square = v_select(too_small | v_less(v_set1(MOST_SQUARE), plain), -root, plain);
    return root;
}

/* Applies a rule that divides by a root: v is the sum or the mean of squared gradients, m the mean of gradients. */
INLINE void apply_root(real *w, real *m, real *v, vec weight, vec slope, const rule_vecs *c, const fbp_rule rule)
{
    const vec before = v_load(v);
    vec square =
        rule == FBP_ADAGRAD ? v_fma(slope, slope, before) : v_fma(c->square_decay, before, c->fresh_square * (slope * slope));
    vec root = v_sqrt(square);
    const ivec extreme = v_less(before, v_set1(0)) | v_less(square, c->least) | v_less(c->most, square);
    if (__builtin_expect(v_any(extreme), 0)) {
        vec stored;
        root = v_select(extreme, extreme_root(&stored, before, slope, c, rule), root);
        square = v_select(extreme, stored, square);
    }
    v_store(v, square);
    if (rule == FBP_ADAM) {
        slope = v_fma(c->momentum, v_load(m), c->fresh * slope);
        v_store(m, slope);
        weight = weight * c->shrink;
        v_store(w, v_fma(c->minus_lr, slope / v_fma(root, c->root, c->eps), weight));
    } else
        v_store(w, v_fma(c->minus_lr, slope / (root + c->eps), weight));
}

/* Updates one vector of weights and its state by the finished gradient g. */
INLINE void apply_rule(real *w, real *m, real *v, vec g, const rule_vecs *c, const fbp_rule rule, const int extras)
{
    assert(rule < FBP_N_RULES);
    if (extras)
        g = clipped(g, c);
    const vec weight = v_load(w);
    vec slope = v_fma(c->decay, weight, g);
    if (extras)
        slope = slope + l1_slope(weight, c);
    switch (rule) {
    case FBP_GRADIENT: v_store(w, g); return;
    case FBP_SGD: v_store(w, v_fma(c->minus_lr, slope, weight)); return;
    case FBP_MOMENTUM:
    case FBP_NESTEROV: break;
    case FBP_ADAGRAD:
    case FBP_RMSPROP:
    case FBP_ADAM: apply_root(w, m, v, weight, slope, c, rule); return;
    case FBP_N_RULES: return;
    }
    const vec velocity = v_fma(c->momentum, v_load(m), slope);
    v_store(m, velocity);
    v_store(w, v_fma(c->minus_lr, rule == FBP_NESTEROV ? v_fma(c->momentum, velocity, slope) : velocity, weight));
}

/* Runs `body` with the constants `rule` and `extras` of an update, so that the compiler makes a loop for each. */
#define RULE_CASE(code, body)       \
    case code: {                    \
        const fbp_rule rule = code; \
        if (has) {                  \
            const int extras = 1;   \
            body;                   \
        } else {                    \
            const int extras = 0;   \
            body;                   \
        }                           \
        break;                      \
    }
#define WITH_RULE(u, body)                \
    {                                     \
        const int has = has_extras(u);    \
        assert((u)->rule < FBP_N_RULES);  \
        switch ((u)->rule) {              \
            RULE_CASE(FBP_GRADIENT, body) \
            RULE_CASE(FBP_SGD, body)      \
            RULE_CASE(FBP_MOMENTUM, body) \
            RULE_CASE(FBP_NESTEROV, body) \
            RULE_CASE(FBP_ADAGRAD, body)  \
            RULE_CASE(FBP_RMSPROP, body)  \
            RULE_CASE(FBP_ADAM, body)     \
        case FBP_N_RULES: break;          \
        }                                 \
    }

#endif
