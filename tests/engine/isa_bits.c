/* isa_bits.c: every kernel of every set that this machine runs against the scalar one, byte for byte. Built and run by
 * test_cross.py for machines other than the one that runs the tests; prints a line for each kernel that differs. */
#include "fbp.h"

#include <stdio.h>
#include <string.h>

enum { BATCH = 37, N_IN = 53, N_OUT = 21, SEED = 12345 };

static uint32_t state;

static double draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) / 8388608.0 - 1.0;
}

static void fill(const fbp_kernels *k, void *array, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < n; j++)
            if (k->dtype == FBP_F32)
                ((float *)array)[r * ld + j] = (float)draw();
            else
                ((double *)array)[r * ld + j] = draw();
}

static int failures;

static void compare(const fbp_kernels *k, const char *what, int code, const void *got, const void *wanted, size_t bytes)
{
    if (memcmp(got, wanted, bytes) != 0) {
        printf("%s f%zu %s %d differs from scalar\n", k->isa, 8 * k->item, what, code);
        failures++;
    }
}

typedef struct {
    ptrdiff_t ldx, ldy, bytes_x, bytes_y, bytes_w;
    char *x, *y, *slope, *w, *b, *dx, *dy, *target, *scratch;
    fbp_state state;
    double row_loss[BATCH];
    uint8_t correct[BATCH];
} arrays;

static void *zeros(size_t bytes) { return memset(fbp_alloc(bytes), 0, bytes); }

static void make(arrays *a, const fbp_kernels *k)
{
    a->ldx = fbp_leading_dimension(N_IN, k->item), a->ldy = fbp_leading_dimension(N_OUT, k->item);
    a->bytes_x = BATCH * a->ldx * k->item, a->bytes_y = BATCH * a->ldy * k->item, a->bytes_w = N_IN * a->ldy * k->item;
    a->x = zeros(a->bytes_x), a->y = zeros(a->bytes_y), a->w = zeros(a->bytes_w);
    a->slope = zeros(a->bytes_y);
    a->b = zeros(a->ldy * k->item), a->dx = zeros(a->bytes_x), a->dy = zeros(a->bytes_y);
    a->state.m = zeros(a->bytes_w), a->state.v = zeros(a->bytes_w), a->target = zeros(a->bytes_y);
    a->scratch = zeros((fbp_delta_scratch(N_OUT, BATCH, k->item) + fbp_update_scratch(BATCH, k->item) +
                        N_IN * a->ldy) *
                       k->item);
    state = SEED;
    fill(k, a->x, BATCH, N_IN, a->ldx), fill(k, a->w, N_IN, N_OUT, a->ldy), fill(k, a->b, 1, N_OUT, a->ldy);
    fill(k, a->dy, BATCH, N_OUT, a->ldy), fill(k, a->target, BATCH, N_OUT, a->ldy);
}

/* The gradient of all weights, in two parts of the batch, applied by a rule. */
static void apply_gradients(const fbp_kernels *k, arrays *a, const fbp_update *update)
{
    const ptrdiff_t first = 7, line = FBP_LINE_BYTES / (ptrdiff_t)k->item, n = (N_OUT + line - 1) / line * line;
    const fbp_part parts[2] = {{a->x, a->dy, first},
                               {a->x + first * a->ldx * k->item, a->dy + first * a->ldy * k->item, BATCH - first}};
    char *g = a->scratch + fbp_update_scratch(BATCH, k->item) * k->item;
    k->dense_gradient(g, a->scratch, parts, 2, a->w, N_IN, n, a->ldx, a->ldy, a->ldy, NULL);
    k->apply_gradient(a->w, a->state, g, N_IN, n, a->ldy, update);
    k->bias_gradient(g, a->scratch, parts, 2, n, a->ldy);
    k->apply_gradient(a->b, a->state, g, 1, n, a->ldy, update);
}

static void check_updates(const fbp_kernels *k, const fbp_kernels *scalar, arrays *a, arrays *s)
{
    const fbp_activation tanh = {FBP_TANH, 0};
    int32_t index[2][N_IN + 1];
    for (int code = 0; code < 2 * FBP_N_RULES; code++) { /* each rule without and with clipping and the l1 penalty */
        const int rule = code / 2;
        fbp_update update = fbp_update_of(rule);
        update.learning_rate = 0.1, update.momentum = 0.9, update.square_decay = 0.8, update.eps = 1e-3;
        update.l2 = 0.01, update.weight_decay = 0.1, update.step_correction = 1.5;
        if (code % 2)
            update.l1 = 0.02, update.clip_value = 0.5, update.penalize_bias = 1;
        const ptrdiff_t count = k->active_rows(index[0], a->x, 3, N_IN, a->ldx);
        scalar->active_rows(index[1], s->x, 3, N_IN, s->ldx);
        apply_gradients(k, a, &update);
        apply_gradients(scalar, s, &update);
        compare(k, "dense_gradient", rule, a->w, s->w, a->bytes_w);
        compare(k, "bias_gradient", rule, a->b, s->b, a->ldy * k->item);
        k->stream_forward(a->y, a->slope, a->x, a->w, a->b, index[0], count, 3, N_OUT, a->ldy, a->ldx, a->ldy, tanh);
        scalar->stream_forward(s->y, s->slope, s->x, s->w, s->b, index[1], count, 3, N_OUT, s->ldy, s->ldx, s->ldy, tanh);
        compare(k, "stream_forward", rule, a->y, s->y, a->bytes_y);
        memset(a->dx, 0, a->bytes_x), memset(s->dx, 0, s->bytes_x); /* a kernel may write the padding, if with zeros */
        k->stream_backward(a->dx, a->w, a->b, a->state, a->state, a->x, a->dy, index[0], count, 3, N_IN, N_OUT, a->ldy, a->ldx, a->ldy, &update);
        scalar->stream_backward(s->dx, s->w, s->b, s->state, s->state, s->x, s->dy, index[1], count, 3, N_IN, N_OUT, s->ldy, s->ldx, s->ldy, &update);
        compare(k, "stream_backward", rule, a->w, s->w, a->bytes_w);
        compare(k, "stream_backward dx", rule, a->dx, s->dx, a->bytes_x);
        compare(k, "stream_backward b", rule, a->b, s->b, a->ldy * k->item);
    }
}

static void check_norms(const fbp_kernels *k, const fbp_kernels *scalar, arrays *a, arrays *s)
{
    double squares[2][2 * 64] = {{0}};
    for (int part = 0; part < 2; part++) {
        k->column_squares(squares[0] + 64 * part, a->w, N_IN - part, N_OUT, a->ldy);
        scalar->column_squares(squares[1] + 64 * part, s->w, N_IN - part, N_OUT, s->ldy);
    }
    compare(k, "column_squares", 0, squares[0], squares[1], sizeof squares[0]);
    k->limit_columns(a->w, squares[0], 2, N_IN, a->ldy, a->ldy, 64, 0.5);
    scalar->limit_columns(s->w, squares[1], 2, N_IN, s->ldy, s->ldy, 64, 0.5);
    compare(k, "limit_columns", 0, a->w, s->w, a->bytes_w);
}

static void check_layer(const fbp_kernels *k, const fbp_kernels *scalar, arrays *a, arrays *s)
{
    const fbp_dropout dropout = {fbp_dropout_key(SEED, 3, 1), 5, 0, 0.3};
    for (int code = 0; code <= FBP_SAVED_SLOPE; code++) {
        const fbp_activation f = {code, 0.3};
        k->dense_forward(a->y, a->slope, a->x, a->w, a->b, BATCH, N_IN, N_OUT, a->ldy, a->ldx, a->ldy, f);
        scalar->dense_forward(s->y, s->slope, s->x, s->w, s->b, BATCH, N_IN, N_OUT, s->ldy, s->ldx, s->ldy, f);
        compare(k, "dense_forward", code, a->y, s->y, a->bytes_y);
        compare(k, "dense_forward slope", code, a->slope, s->slope, a->bytes_y);
        for (ptrdiff_t batch = 5; batch <= BATCH; batch += BATCH - 5) {
            k->dense_delta(a->dx, a->dy, a->w, a->x, a->scratch, batch, batch, N_IN, N_OUT, a->ldx, a->ldy, a->ldy, f);
            scalar->dense_delta(s->dx, s->dy, s->w, s->x, s->scratch, batch, batch, N_IN, N_OUT, s->ldx, s->ldy, s->ldy, f);
            compare(k, "dense_delta", code, a->dx, s->dx, a->bytes_x);
        }
        for (int loss = 0; loss < FBP_N_LOSSES; loss++) {
            k->loss_delta(a->dx, a->row_loss, a->correct, a->y, NULL, a->target, BATCH, N_OUT, a->ldy, loss, f, 0.25, 0.5, 0);
            scalar->loss_delta(s->dx, s->row_loss, s->correct, s->y, NULL, s->target, BATCH, N_OUT, s->ldy, loss, f, 0.25, 0.5, 0);
            compare(k, "loss_delta", loss, a->dx, s->dx, a->bytes_y);
            compare(k, "row_loss", loss, a->row_loss, s->row_loss, sizeof a->row_loss);
            compare(k, "correct", loss, a->correct, s->correct, sizeof a->correct);
        }
        k->drop_units(a->y, a->slope, BATCH, N_OUT, a->ldy, &dropout);
        scalar->drop_units(s->y, s->slope, BATCH, N_OUT, s->ldy, &dropout);
        compare(k, "drop_units", code, a->y, s->y, a->bytes_y);
        compare(k, "drop_units slope", code, a->slope, s->slope, a->bytes_y);
    }
    k->smooth_rows(a->y, BATCH, N_OUT, a->ldy, 0.1);
    scalar->smooth_rows(s->y, BATCH, N_OUT, s->ldy, 0.1);
    compare(k, "smooth_rows", 0, a->y, s->y, a->bytes_y);
    k->weigh_rows(a->y, a->row_loss, a->row_loss, BATCH, N_OUT, a->ldy, 3, 2);
    scalar->weigh_rows(s->y, s->row_loss, s->row_loss, BATCH, N_OUT, s->ldy, 3, 2);
    compare(k, "weigh_rows", 0, a->y, s->y, a->bytes_y);
    check_updates(k, scalar, a, s);
}

/* x holds two pieces of N_OUT units. */
static void check_gates(const fbp_kernels *k, const fbp_kernels *scalar, arrays *a, arrays *s)
{
    for (int code = 0; code < FBP_N_GATES * FBP_N_ACTIVATIONS; code++) {
        const fbp_gate gate = code / FBP_N_ACTIVATIONS;
        const fbp_activation f = {code % FBP_N_ACTIVATIONS, 0.3};
        if (f.code == FBP_SOFTMAX)
            continue;
        k->gate_forward(a->y, a->x, BATCH, N_OUT, 2, a->ldy, a->ldx, gate, f);
        scalar->gate_forward(s->y, s->x, BATCH, N_OUT, 2, s->ldy, s->ldx, gate, f);
        compare(k, "gate_forward", code, a->y, s->y, a->bytes_y);
        k->gate_delta(a->dx, a->dy, a->x, BATCH, N_OUT, 2, a->ldy, a->ldx, gate, f);
        scalar->gate_delta(s->dx, s->dy, s->x, BATCH, N_OUT, 2, s->ldy, s->ldx, gate, f);
        compare(k, "gate_delta", code, a->dx, s->dx, a->bytes_x);
    }
    k->add_rows(a->y, a->dy, a->target, BATCH, N_OUT, a->ldy, a->ldy, a->ldy);
    scalar->add_rows(s->y, s->dy, s->target, BATCH, N_OUT, s->ldy, s->ldy, s->ldy);
    compare(k, "add_rows", 0, a->y, s->y, a->bytes_y);
}

static void check_functions(const fbp_kernels *k, const fbp_kernels *scalar, arrays *a, arrays *s)
{
    const ptrdiff_t n = BATCH * a->ldx;
    for (ptrdiff_t i = 0; i < n; i++)
        if (k->dtype == FBP_F32)
            ((float *)a->x)[i] = (float)(50 + 50 * draw());
        else
            ((double *)a->x)[i] = 50 + 50 * draw(); /* not negative: a NaN may differ */
    for (int f = 0; f < FBP_N_FUNCTIONS; f++) {
        k->elementary(a->dx, a->x, n, f);
        scalar->elementary(s->dx, a->x, n, f);
        compare(k, "elementary", f, a->dx, s->dx, a->bytes_x);
    }
}

int main(void)
{
    for (int i = 0; fbp_isa_name(i); i++)
        for (int dtype = 0; dtype < FBP_N_DTYPES; dtype++) {
            const fbp_kernels *k = fbp_find_kernels(fbp_isa_name(i), dtype), *scalar = fbp_find_kernels("scalar", dtype);
            arrays a, s;
            if (!k || k == scalar)
                continue;
            make(&a, k);
            make(&s, scalar);
            check_layer(k, scalar, &a, &s);
            check_norms(k, scalar, &a, &s);
            check_gates(k, scalar, &a, &s);
            check_functions(k, scalar, &a, &s);
            printf("%s f%zu checked\n", k->isa, 8 * k->item);
        }
    return failures != 0;
}
