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

/* data[...][n]. With mean[n] and scale[n] a batch gets (x - mean) * scale.
 *
 * With `starts` these are the rows of a matrix in compressed sparse rows: row i has data[k] in column columns[k], for k from
 * starts[i] to starts[i + 1] - 1, and 0 in the others. Both arrays are of `index`, which is int32 or int64. They are the
 * caller's memory, which another thread may change, so whatever is read from them is checked when it is used. */
typedef struct {
    const void *data;
    fbp_number type;
    ptrdiff_t n;
    const double *mean, *scale; /* both NULL, or neither */
    const void *starts, *columns;
    fbp_number index;
    ptrdiff_t n_values; /* of data and columns */
} fbp_rows;

/* Rows of a batch without their zeros: row r has value[k] in column[k], for k from start[r] to start[r + 1] - 1. */
typedef struct {
    void *value; /* [room] of real */
    int32_t *column;
    ptrdiff_t *start; /* [rows + 1] */
    ptrdiff_t room;
} fbp_sparse;

/* The same numbers by column: those of column feature[f] end before end[f], and begin where those of the one before end. Their
 * rows ascend. */
typedef struct {
    void *value; /* [room] of real */
    int32_t *row, *feature;
    ptrdiff_t *end;
    ptrdiff_t n;    /* features */
    int32_t *place; /* [columns] 1 + the index in `feature`, or 0; at first all are 0, and so is n */
} fbp_features;

#endif
