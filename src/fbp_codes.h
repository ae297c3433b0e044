/* fbp_codes.h: dtypes, activations, losses, rules, gates and functions by code and name. */
#ifndef FBP_CODES_H
#define FBP_CODES_H

typedef enum { FBP_F32, FBP_F64, FBP_N_DTYPES } fbp_dtype;

/* The public names. Each list becomes an enum here and a table of names in dispatch.c. */
#define FBP_ACTIVATIONS(NAME)      \
    NAME(LINEAR, "linear")         \
    NAME(SIGMOID, "sigmoid")       \
    NAME(TANH, "tanh")             \
    NAME(RELU, "relu")             \
    NAME(SOFTMAX, "softmax")       \
    NAME(LEAKY_RELU, "leaky_relu") \
    NAME(ELU, "elu")               \
    NAME(SELU, "selu")             \
    NAME(SOFTPLUS, "softplus")     \
    NAME(GELU, "gelu")             \
    NAME(SILU, "silu")             \
    NAME(SIGN, "sign")             \
    NAME(STEP, "step")
/* The losses from cross-entropy on are for classification: see fbp_loss_classifies. */
#define FBP_LOSSES(NAME)                               \
    NAME(SQUARED_ERROR, "squared_error")               \
    NAME(MSE, "mse")                                   \
    NAME(MAE, "mae")                                   \
    NAME(HUBER, "huber")                               \
    NAME(QUANTILE, "quantile")                         \
    NAME(POISSON, "poisson")                           \
    NAME(CUSTOM, "custom")                             \
    NAME(CROSS_ENTROPY, "cross_entropy")               \
    NAME(BINARY_CROSS_ENTROPY, "binary_cross_entropy") \
    NAME(HINGE, "hinge")                               \
    NAME(MULTICLASS_HINGE, "multiclass_hinge")         \
    NAME(PERCEPTRON, "perceptron")
/* The elementary functions of activations.h, for tests and measurements. */
#define FBP_FUNCTIONS(NAME)    \
    NAME(EXP, "exp")           \
    NAME(LOG, "log")           \
    NAME(LOG1P, "log1p")       \
    NAME(TANH, "tanh")         \
    NAME(SIGMOID, "sigmoid")   \
    NAME(SOFTPLUS, "softplus") \
    NAME(ERF, "erf")           \
    NAME(EXPM1, "expm1")
/* What an update does with a finished gradient: store it in place of the weight, or change the weight by it. */
#define FBP_RULES(NAME)        \
    NAME(GRADIENT, "gradient") \
    NAME(SGD, "sgd")           \
    NAME(MOMENTUM, "momentum") \
    NAME(NESTEROV, "nesterov") \
    NAME(ADAGRAD, "adagrad")   \
    NAME(RMSPROP, "rmsprop")   \
    NAME(ADAM, "adam")

#define FBP_GATES(NAME)    \
    NAME(MAXOUT, "maxout") \
    NAME(PRODUCT, "product")

#define FBP_ENUM(name, text) FBP_##name,
typedef enum {
    FBP_ACTIVATIONS(FBP_ENUM) FBP_N_ACTIVATIONS,
    FBP_SAVED_SLOPE = FBP_N_ACTIVATIONS /* backward only: the array is f' itself, saved by the forward pass, instead of y */
} fbp_activation_code;
typedef enum { FBP_LOSSES(FBP_ENUM) FBP_N_LOSSES } fbp_loss;
typedef enum { FBP_RULES(FBP_ENUM) FBP_N_RULES } fbp_rule;
typedef enum { FBP_GATES(FBP_ENUM) FBP_N_GATES } fbp_gate; /* the largest of the pieces; or a * f(b) of two pieces */

/* With a prefix of their own, because some functions are activations as well. */
#define FBP_FUNCTION_ENUM(name, text) FBP_FUNCTION_##name,
typedef enum { FBP_FUNCTIONS(FBP_FUNCTION_ENUM) FBP_N_FUNCTIONS } fbp_function;

typedef struct {
    fbp_activation_code code;
    double parameter; /* slope of a leaky ReLU below 0, alpha of ELU */
} fbp_activation;

/* The names, indexed by the enums. */
extern const char *const fbp_activation_names[FBP_N_ACTIVATIONS];
extern const char *const fbp_loss_names[FBP_N_LOSSES];
extern const char *const fbp_rule_names[FBP_N_RULES];
extern const char *const fbp_gate_names[FBP_N_GATES];
extern const char *const fbp_function_names[FBP_N_FUNCTIONS];

/* Is the loss computed from the logits z? So are pairs whose delta is p - t, and losses that are defined on z. */
static inline int fbp_loss_from_logits(fbp_loss loss, fbp_activation_code activation)
{
    switch (loss) {
    case FBP_CROSS_ENTROPY: return activation == FBP_SOFTMAX;
    case FBP_BINARY_CROSS_ENTROPY: return activation == FBP_SIGMOID;
    case FBP_POISSON:
    case FBP_HINGE:
    case FBP_MULTICLASS_HINGE:
    case FBP_PERCEPTRON: return 1;
    case FBP_SQUARED_ERROR:
    case FBP_MSE:
    case FBP_MAE:
    case FBP_HUBER:
    case FBP_QUANTILE:
    case FBP_CUSTOM:
    case FBP_N_LOSSES: break;
    }
    return 0;
}

/* Are correct rows counted, whatever the form of the targets? */
static inline int fbp_loss_classifies(fbp_loss loss) { return loss >= FBP_CROSS_ENTROPY; }

/* Is f' no function of y? Then the forward pass saves f' for the backward pass. */
static inline int fbp_needs_slope(fbp_activation_code activation) { return activation == FBP_GELU || activation == FBP_SILU; }

#endif
