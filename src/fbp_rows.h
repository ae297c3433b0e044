/* fbp_rows.h: the rows that batches are gathered from, and the types of number in them. */
#ifndef FBP_ROWS_H
#define FBP_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* Enum, NumPy's name, C type. A bool is a byte of 0 or 1. */
#define FBP_NUMBERS(NUMBER)          \
    NUMBER(FLOAT32, float32, float)  \
    NUMBER(FLOAT64, float64, double) \
    NUMBER(INT8, int8, int8_t)       \
    NUMBER(INT16, int16, int16_t)    \
    NUMBER(INT32, int32, int32_t)    \
    NUMBER(INT64, int64, int64_t)    \
    NUMBER(UINT8, uint8, uint8_t)    \
    NUMBER(UINT16, uint16, uint16_t) \
    NUMBER(UINT32, uint32, uint32_t) \
    NUMBER(UINT64, uint64, uint64_t) \
    NUMBER(BOOL, bool, uint8_t)

#define FBP_NUMBER_ENUM(NAME, name, type) FBP_##NAME,
typedef enum { FBP_NUMBERS(FBP_NUMBER_ENUM) FBP_N_NUMBERS } fbp_number;

extern const char *const fbp_number_names[FBP_N_NUMBERS];

/* data[...][n]. With mean[n] and scale[n] a batch gets (x - mean) * scale. */
typedef struct {
    const void *data;
    fbp_number type;
    ptrdiff_t n;
    const double *mean, *scale; /* both NULL, or neither */
} fbp_rows;

#endif
