/* cross_driver.c: the bits of the core on the machine that runs this, for tools/cross.py, which compares machines.
 *
 * Prints a line for each kernel of each set, "kernel <isa> <bits> <op> <digest>", and one for a short training run with it,
 * "training <isa> <bits> <numbers in hexadecimal>". */
#include "kernel_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More rows than a chain of a gradient has, and more than one rule for the whole net. */
enum { ROWS = 300, LAYERS = 3, STEPS = 24, WIDEST = 53 };
static const ptrdiff_t units[LAYERS + 1] = {17, WIDEST, 31, 5};
static const fbp_activation activations[LAYERS] = {{FBP_GELU, 0}, {FBP_TANH, 0}, {FBP_SOFTMAX, 0}};
static const fbp_rule rules[LAYERS] = {FBP_ADAM, FBP_RMSPROP, FBP_NESTEROV};

typedef struct {
    ptrdiff_t n_in, n_out, ldx, ld;
    char *w, *b, *y, *slope, *dy; /* dy: dL/dz of this layer */
    fbp_state w_state, b_state;
} layer;

static uint32_t random_state = 1;

static double draw(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) / 8388608.0 - 1.0;
}

static char *zeros(const fbp_kernels *k, ptrdiff_t n)
{
    const size_t bytes = (size_t)n * k->item;
    char *memory = fbp_alloc(bytes);
    if (!memory)
        abort();
    return memset(memory, 0, bytes);
}

static char *drawn(const fbp_kernels *k, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    char *array = zeros(k, rows * ld);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < n; j++)
            if (k->dtype == FBP_F32)
                ((float *)array)[r * ld + j] = (float)draw();
            else
                ((double *)array)[r * ld + j] = draw();
    return array;
}

static layer made(const fbp_kernels *k, int at)
{
    layer l = {.n_in = units[at], .n_out = units[at + 1]};
    l.ldx = fbp_leading_dimension(l.n_in, k->item), l.ld = fbp_leading_dimension(l.n_out, k->item);
    l.w = drawn(k, l.n_in, l.n_out, l.ld), l.b = drawn(k, 1, l.n_out, l.ld);
    l.y = zeros(k, ROWS * l.ld), l.slope = zeros(k, ROWS * l.ld), l.dy = zeros(k, ROWS * l.ld);
    l.w_state = (fbp_state){zeros(k, l.n_in * l.ld), zeros(k, l.n_in * l.ld)};
    l.b_state = (fbp_state){zeros(k, l.ld), zeros(k, l.ld)};
    return l;
}

static void update(const fbp_kernels *k, layer *l, const char *x, char *scratch, fbp_rule rule)
{
    const ptrdiff_t line = FBP_LINE_BYTES / (ptrdiff_t)k->item, n = (l->n_out + line - 1) / line * line,
                    item = (ptrdiff_t)k->item;
    const fbp_part parts[2] = {{x, l->dy, 7}, {x + 7 * l->ldx * item, l->dy + 7 * l->ld * item, ROWS - 7}};
    char *g = scratch + fbp_update_scratch(ROWS, k->item) * item;
    fbp_update u = fbp_update_of(rule);
    u.learning_rate = 0.01, u.momentum = 0.9, u.square_decay = 0.99, u.eps = 1e-7, u.l2 = 0.001, u.weight_decay = 0.01;
    k->dense_gradient(g, scratch, parts, 2, l->w, l->n_in, n, l->ldx, l->ld, l->ld, NULL);
    k->apply_gradient(l->w, l->w_state, g, l->n_in, n, l->ld, &u);
    k->bias_gradient(g, scratch, parts, 2, n, l->ld);
    u = fbp_bias_update(&u);
    k->apply_gradient(l->b, l->b_state, g, 1, n, l->ld, &u);
}

static void step(const fbp_kernels *k, layer *layers, const char *x, const char *target, char *scratch, double *loss)
{
    for (int i = 0; i < LAYERS; i++) {
        layer *l = layers + i;
        const fbp_dropout dropout = {fbp_dropout_key(1, 2, i), 0, 0, 0.25};
        k->dense_forward(l->y, i == LAYERS - 1 ? NULL : l->slope, i ? layers[i - 1].y : x, l->w, l->b, ROWS, l->n_in, l->n_out,
                         l->ld, l->ldx, l->ld, i == LAYERS - 1 ? (fbp_activation){FBP_LINEAR, 0} : activations[i]);
        if (i < LAYERS - 1)
            k->drop_units(l->y, l->slope, ROWS, l->n_out, l->ld, &dropout);
    }
    layer *last = layers + LAYERS - 1;
    k->loss_delta(last->dy, loss, NULL, last->y, NULL, target, ROWS, last->n_out, last->ld, FBP_CROSS_ENTROPY,
                  activations[LAYERS - 1], 1.0 / ROWS, 0, 0);
    for (int i = LAYERS - 1; i > 0; i--)
        k->dense_delta(layers[i - 1].dy, layers[i].dy, layers[i].w, layers[i - 1].slope, scratch, ROWS, ROWS, layers[i].n_in,
                       layers[i].n_out, layers[i].ldx, layers[i].ld, layers[i].ld, (fbp_activation){FBP_SAVED_SLOPE, 0});
    for (int i = 0; i < LAYERS; i++)
        update(k, layers + i, i ? layers[i - 1].y : x, scratch, rules[i]);
}

static void print_numbers(const fbp_kernels *k, const char *array, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < n; j++) {
            const char *at = array + (r * ld + j) * (ptrdiff_t)k->item;
            uint32_t narrow;
            uint64_t wide;
            if (k->dtype == FBP_F32)
                printf("%08lx", (unsigned long)*(uint32_t *)memcpy(&narrow, at, sizeof narrow));
            else
                printf("%016llx", (unsigned long long)*(uint64_t *)memcpy(&wide, at, sizeof wide));
        }
}

static void train(const fbp_kernels *k)
{
    layer layers[LAYERS];
    double losses[ROWS];
    random_state = 1;
    for (int i = 0; i < LAYERS; i++)
        layers[i] = made(k, i);
    const ptrdiff_t ldt = layers[LAYERS - 1].ld;
    char *x = drawn(k, ROWS, units[0], layers[0].ldx), *target = zeros(k, ROWS * ldt);
    char *scratch = zeros(k, fbp_delta_scratch(WIDEST, ROWS, k->item) + fbp_update_scratch(ROWS, k->item) +
                                 WIDEST * fbp_leading_dimension(WIDEST, k->item));
    int64_t labels[ROWS];
    for (int i = 0; i < ROWS; i++)
        labels[i] = i % units[LAYERS];
    k->one_hot_rows(target, labels, NULL, 0, ROWS, units[LAYERS], ldt);
    for (int i = 0; i < STEPS; i++)
        step(k, layers, x, target, scratch, losses);
    printf("training %s %zu ", k->isa, 8 * k->item);
    for (int i = 0; i < LAYERS; i++) {
        print_numbers(k, layers[i].w, layers[i].n_in, layers[i].n_out, layers[i].ld);
        print_numbers(k, layers[i].b, 1, layers[i].n_out, layers[i].ld);
    }
    for (int i = 0; i < ROWS; i++) {
        uint64_t bits;
        printf("%016llx", (unsigned long long)*(uint64_t *)memcpy(&bits, losses + i, sizeof bits));
    }
    printf("\n");
}

int main(void)
{
    const uint64_t mode = fbp_flush_denormals();
    for (int i = 0; fbp_isa_name(i); i++)
        for (int dtype = 0; dtype < FBP_N_DTYPES; dtype++) {
            const fbp_kernels *k = fbp_find_kernels(fbp_isa_name(i), dtype);
            if (!k)
                continue;
            const uint64_t *digests = digest_kernels(k);
            if (!digests)
                return 1;
            for (int op = 0; op < N_OPS; op++)
                printf("kernel %s %zu %s %016llx\n", k->isa, 8 * k->item, kernel_names[op], (unsigned long long)digests[op]);
            train(k);
        }
    fbp_restore_denormals(mode);
    return 0;
}
