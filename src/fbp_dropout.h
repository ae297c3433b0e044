/* fbp_dropout.h: which units dropout drops, and the random numbers that decide it. */
#ifndef FBP_DROPOUT_H
#define FBP_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

/* Dropout of some rows and units of one layer in one step. Whether a unit is dropped depends on nothing else. */
typedef struct {
    uint64_t key;        /* fbp_dropout_key of the layer and the step */
    ptrdiff_t row, unit; /* the first row of the batch and the first unit of the layer */
    double rate;         /* probability that a unit is dropped, in [0, 1) */
} fbp_dropout;

/* Word `index` of a random sequence: a mix of 64 bits of its index (SplitMix64, Steele et al., 2014). */
static inline uint64_t fbp_random(uint64_t key, uint64_t index)
{
    uint64_t z = key + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t fbp_dropout_key(uint64_t seed, int64_t step, ptrdiff_t layer)
{
    return fbp_random(fbp_random(seed, (uint64_t)layer), (uint64_t)step);
}

#endif
