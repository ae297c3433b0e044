/* dispatch.c: the only file that knows the list of ISAs; and the tables of names. */
#include "fbp.h"

#include <string.h>

#define TEXT(name, text) text,
const char *const fbp_activation_names[FBP_N_ACTIVATIONS] = {FBP_ACTIVATIONS(TEXT)};
const char *const fbp_loss_names[FBP_N_LOSSES] = {FBP_LOSSES(TEXT)};
const char *const fbp_rule_names[FBP_N_RULES] = {FBP_RULES(TEXT)};
const char *const fbp_gate_names[FBP_N_GATES] = {FBP_GATES(TEXT)};
const char *const fbp_function_names[FBP_N_FUNCTIONS] = {FBP_FUNCTIONS(TEXT)};

#define NUMBER_TEXT(NAME, name, type) #name,
const char *const fbp_number_names[FBP_N_NUMBERS] = {FBP_NUMBERS(NUMBER_TEXT)};

_Static_assert(FBP_N_DTYPES == 2, "engine/runtime.pyx keeps so many kernel sets");

#if defined(__x86_64__)
#include "x86.h"

static int runs_avx512(void) { return x86_saves(ZMM_STATE) && x86_has(bit_AVX512F | bit_AVX512DQ); }
static int runs_avx2(void) { return x86_has(bit_AVX2); }
#endif

static int runs_always(void) { return 1; }

#define SET(isa) extern const fbp_kernels fbp_kernels_f32_##isa, fbp_kernels_f64_##isa;
/* clang-format off */
#define ROW(isa, runs) {#isa, runs, {&fbp_kernels_f32_##isa, &fbp_kernels_f64_##isa}}
/* clang-format on */
#if defined(__x86_64__)
SET(avx512)
SET(avx2)
#elif defined(__aarch64__)
SET(neon)
#endif
SET(scalar)

static const struct {
    const char *name;
    int (*runs)(void);
    const fbp_kernels *kernels[FBP_N_DTYPES];
} sets[] = {
#if defined(__x86_64__)
    ROW(avx512, runs_avx512),
    ROW(avx2, runs_avx2),
#elif defined(__aarch64__)
    ROW(neon, runs_always),
#endif
    ROW(scalar, runs_always),
};

enum { N_SETS = sizeof sets / sizeof sets[0] };

const char *fbp_isa_name(int index) { return index >= 0 && index < N_SETS ? sets[index].name : NULL; }

const fbp_kernels *fbp_find_kernels(const char *isa, fbp_dtype dtype)
{
    for (int i = 0; i < N_SETS; i++)
        if (strcmp(sets[i].name, isa) == 0 && sets[i].runs())
            return sets[i].kernels[dtype];
    return NULL;
}
