/* fbp_update.h: one update of a weight by its gradient, and the state of its rule. */
#ifndef FBP_UPDATE_H
#define FBP_UPDATE_H

#include "fbp_codes.h"

#include <stddef.h>

/* One update by the gradient g; fbp_update_of makes one that does nothing but apply its rule. First the gradient is clipped and
 * scaled, g = gradient_scale * (g limited to -clip_value .. clip_value), then the penalties g += 2 * l2 * w + l1 * sign(w) are
 * added, then
 *
 * sgd       w -= lr * g
 * momentum  m = mu * m + g, w -= lr * m             nesterov  the same m, w -= lr * (g + mu * m)
 * adagrad   v += g^2, w -= lr * g / (sqrt(v) + eps)
 * rmsprop   v = a * v + (1 - a) * g^2, w -= lr * g / (sqrt(v) + eps)
 * adam      m = mu * m + (1 - mu) * g, v as in rmsprop, w *= 1 - lr * weight_decay,
 *           w -= lr * step_correction * m / (sqrt(v) * root_correction + eps)
 *
 * A v whose squares would leave the range of its type is stored as minus its root. */
typedef struct {
    fbp_rule rule;
    int penalize_bias, decay_bias;                     /* do l1 and l2 apply to a bias, does the weight decay? */
    double learning_rate, momentum, square_decay, eps; /* lr, mu, a; eps > 0, so that padding stays zero */
    double step_correction, root_correction, weight_decay;
    double l1, l2, clip_value, gradient_scale; /* clip_value 0: no clipping */
} fbp_update;

static inline fbp_update fbp_update_of(fbp_rule rule)
{
    return (fbp_update){.rule = rule, .step_correction = 1, .root_correction = 1, .gradient_scale = 1};
}

/* The update of a bias in the same step. */
static inline fbp_update fbp_bias_update(const fbp_update *update)
{
    fbp_update bias = *update;
    if (!bias.penalize_bias)
        bias.l1 = bias.l2 = 0;
    if (!bias.decay_bias)
        bias.weight_decay = 0;
    return bias;
}

/* The state of a weight or a bias, of its shape; NULL if the rule has none. */
typedef struct {
    void *m, *v;
} fbp_state;

static inline int fbp_rule_has_m(fbp_rule rule) { return rule == FBP_MOMENTUM || rule == FBP_NESTEROV || rule == FBP_ADAM; }
static inline int fbp_rule_has_v(fbp_rule rule) { return rule == FBP_ADAGRAD || rule == FBP_RMSPROP || rule == FBP_ADAM; }

/* The state `bytes` further on. */
static inline fbp_state fbp_state_at(fbp_state s, ptrdiff_t bytes)
{
    return (fbp_state){s.m ? (char *)s.m + bytes : NULL, s.v ? (char *)s.v + bytes : NULL};
}

#endif
