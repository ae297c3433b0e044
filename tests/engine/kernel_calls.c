/* kernel_calls.c: every kernel of a table, on buffers whose last byte is the last that the kernel may touch.
 *
 * In fbp_table.h's words: padded arrays end at the end of their last row's padding; what "needs neither alignment nor padding",
 * labels, orders, weights and sums end at their last element, scratch at its size in fbp_layout.h. Where the buffers are is the
 * caller's choice: they end at a page that must not be touched, begin after one, or are pieces of malloc for a memory checker.
 * test_guard_pages.py calls the kernels of the built extension so; tests/sanitize.sh links them to `main`, for valgrind.
 * cross_driver.c compares what the kernels write: it wants digests, which need nothing of the system. */
#define _GNU_SOURCE
#include "fbp.h"

#include "kernel_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

/* ---- buffers ---- */

enum place { ENDING, BEGINNING, EXACT, DIGESTED };

enum { SLOTS = 16, REGION = 1 << 19 };

static char *regions[SLOTS]; /* each between two forbidden pages, or from malloc, or static */
static enum place place;
static int used;
static struct {
    int place; /* in this file, where the buffer is asked for */
    ptrdiff_t n;
    size_t item; /* 0: what is left there has no meaning */
} taken[SLOTS];

#ifndef _WIN32
static void make_regions(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < SLOTS && place != EXACT && !regions[i]; i++) {
        char *whole = mmap(NULL, REGION + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (whole == MAP_FAILED || mprotect(whole + page, REGION, PROT_READ | PROT_WRITE) != 0)
            abort();
        regions[i] = whole + page;
    }
}

static void *exact(ptrdiff_t bytes)
{
    void *memory;
    return posix_memalign(&memory, FBP_LINE_BYTES, (size_t)(bytes ? bytes : 1)) == 0 ? memory : NULL;
}
#else
static void *exact(ptrdiff_t bytes)
{
    (void)bytes;
    return NULL;
}
#endif

/* A buffer of n items for the running call; its content is what a call before has left, or nothing. Buffers are made in the
 * arguments of a call, whose order is the compiler's: so what is drawn, and its part of a digest, depends on the place. */
static void *take_at(int where, ptrdiff_t n, size_t item)
{
    const ptrdiff_t bytes = n * (ptrdiff_t)item;
    if (used == SLOTS || bytes > REGION)
        abort();
    taken[used].place = where, taken[used].n = n, taken[used].item = item;
    if (place == EXACT && !(regions[used] = exact(bytes)))
        abort();
    if (place == DIGESTED)
        memset(regions[used], 0, (size_t)bytes);
    used++;
    return regions[used - 1] + (place == ENDING ? REGION - bytes : 0);
}

static void *scratch(ptrdiff_t bytes)
{
    void *memory = take_at(0, bytes, 1);
    taken[used - 1].item = 0;
    return memory;
}

static void release(void)
{
    for (; used > 0; used--)
        if (place == EXACT)
            free(regions[used - 1]);
}

/* ---- what is in them ---- */

static uint32_t state, n_calls;

static void draw_at(int where) { state = (uint32_t)where * 2654435761u + n_calls * 40503u; }

static double draw(void)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) / 8388608.0 - 1.0;
}

static void put(const fbp_kernels *k, void *array, ptrdiff_t at, double value)
{
    if (k->dtype == FBP_F32)
        ((float *)array)[at] = (float)value;
    else
        ((double *)array)[at] = value;
}

static ptrdiff_t line_of(const fbp_kernels *k) { return FBP_LINE_BYTES / (ptrdiff_t)k->item; }
static ptrdiff_t whole_lines(const fbp_kernels *k, ptrdiff_t n) { return (n + line_of(k) - 1) / line_of(k) * line_of(k); }

/* rows x n random numbers from 0 (or -1) to 1, in rows of ld whose padding is zero. */
static void *filled(const fbp_kernels *k, int where, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, int positive)
{
    char *array = take_at(where, rows * ld, k->item);
    memset(array, 0, (size_t)(rows * ld) * k->item);
    draw_at(where);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < n; j++)
            put(k, array, r * ld + j, positive ? draw() * draw() + 1 : draw());
    return array;
}

static double *doubles_at(int where, ptrdiff_t n)
{
    double *array = take_at(where, n, sizeof *array);
    draw_at(where);
    for (ptrdiff_t i = 0; i < n; i++)
        array[i] = draw() * draw() + 1;
    return array;
}

/* n indices below `below`, the last element of what they index among them. */
static int64_t *indices_at(int where, ptrdiff_t n, ptrdiff_t below)
{
    int64_t *array = take_at(where, n, sizeof *array);
    for (ptrdiff_t i = 0; i < n; i++)
        array[i] = (int64_t)((i * 7 + below - 1) % below);
    return array;
}

static fbp_state state_at(const fbp_kernels *k, int where, fbp_rule rule, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld)
{
    fbp_state made = {NULL, NULL};
    if (fbp_rule_has_m(rule))
        made.m = filled(k, where, rows, n, ld, 0);
    if (fbp_rule_has_v(rule))
        made.v = filled(k, -where, rows, n, ld, 1);
    return made;
}

#define HERE (1 + __COUNTER__)
#define take(n, item) take_at(HERE, n, item)
#define padded(k, rows, n, ld) filled(k, HERE, rows, n, ld, 0)
#define plain(k, rows, n) filled(k, HERE, rows, n, n, 0)
#define blank(k, rows, ld) take_at(HERE, (rows) * (ld), k->item)
#define doubles(n) doubles_at(HERE, n)
#define indices(n, below) indices_at(HERE, n, below)
#define state_of(k, rule, rows, n, ld) state_at(k, HERE, rule, rows, n, ld)

static fbp_update update_of(fbp_rule rule, int extras)
{
    fbp_update update = fbp_update_of(rule);
    update.learning_rate = 0.01, update.momentum = 0.9, update.square_decay = 0.99, update.eps = 1e-8;
    if (extras)
        update.l1 = 0.01, update.clip_value = 0.5;
    return update;
}

/* ---- the calls ---- */

/* Of the running call, and of each kernel how often it was called and the digest of all that it left. */
static struct {
    const char *isa;
    size_t item;
    ptrdiff_t batch, n_in, n_out;
    int op, code;
} now;
static long calls[N_OPS];
static uint64_t digests[N_OPS];
const char *kernel_names[N_OPS];

#ifndef _WIN32
static void say_where(int signal)
{
    static const char *const place_names[] = {"ends", "begins", "malloc"};
    char text[256];
    const int n =
        snprintf(text, sizeof text, "%s f%zu %s: signal %d, batch %td, n_in %td, n_out %td, code %d, buffer %s\n", now.isa,
                 8 * now.item, kernel_names[now.op], signal, now.batch, now.n_in, now.n_out, now.code, place_names[place]);
    if (write(STDERR_FILENO, text, (size_t)n) != n)
        _exit(3);
    _exit(1);
}
#endif

static void begin(int op, const char *name)
{
    now.op = op, kernel_names[op] = name;
    calls[op]++, n_calls++;
}

static uint64_t mixed(uint64_t bits)
{
    bits = (bits ^ bits >> 32) * 0x9e3779b97f4a7c15u;
    return bits ^ bits >> 29;
}

/* The same for every order of bytes, and for every NaN: machines make different ones. */
static uint64_t bits_at(const char *array, size_t item)
{
    uint64_t wide;
    uint32_t narrow;
    if (item == 1)
        return (unsigned char)*array;
    if (item == 4) {
        memcpy(&narrow, array, sizeof narrow);
        return (narrow & INT32_MAX) > 0x7f800000 ? 0x7f800001 : narrow;
    }
    memcpy(&wide, array, sizeof wide);
    return (wide & INT64_MAX) > 0x7ff0000000000000 ? 0x7ff0000000000001 : wide;
}

static void end(void)
{
    for (int i = 0; i < used && place == DIGESTED; i++) {
        uint64_t digest = mixed((uint64_t)taken[i].place ^ (uint64_t)n_calls << 32);
        for (ptrdiff_t at = 0; taken[i].item && at < taken[i].n; at++)
            digest = mixed(digest ^ bits_at(regions[i] + at * (ptrdiff_t)taken[i].item, taken[i].item));
        digests[now.op] += digest;
    }
}

/* What a kernel returns is part of its digest. */
static void note(double result)
{
    uint64_t bits;
    memcpy(&bits, &result, sizeof bits);
    digests[now.op] += mixed(bits ^ n_calls);
}

#define OP(name) (int)((offsetof(fbp_kernels, name) - offsetof(fbp_kernels, dense_forward)) / sizeof(void (*)(void)))
#define CALL(name, ...) (begin(OP(name), #name), k->name(__VA_ARGS__), end())
#define NOTE(name, ...) (begin(OP(name), #name), note((double)k->name(__VA_ARGS__)), end())

static void call_dense(const fbp_kernels *k, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t extra)
{
    const ptrdiff_t ldx = whole_lines(k, n_in) + extra, ldy = whole_lines(k, n_out) + extra, n = whole_lines(k, n_out);
    const ptrdiff_t item = (ptrdiff_t)k->item, first = batch > 5 ? 5 : batch, rows = (batch + 1) / 2;
    for (int code = 0; code < FBP_N_ACTIVATIONS; code++) {
        const fbp_activation f = {now.code = code, 0.1};
        void *slope = code == FBP_SOFTMAX ? NULL : blank(k, batch, ldy);
        CALL(dense_forward, blank(k, batch, ldy), slope, plain(k, batch, n_in), padded(k, n_in, n_out, ldy),
             padded(k, 1, n_out, n), batch, n_in, n_out, ldy, n_in, ldy, f);
        release();
        CALL(dense_delta, blank(k, rows, ldx), padded(k, rows, n_out, ldy), padded(k, n_in, n_out, ldy),
             padded(k, rows, n_in, ldx), scratch(fbp_delta_scratch(n_out, rows, k->item) * item), batch, rows, n_in, n_out, ldx,
             ldy, ldy, f);
        release();
    }
    char *x = padded(k, batch, n_in, ldx), *dy = padded(k, batch, n_out, ldy);
    const fbp_part parts[2] = {{x, dy, first}, {x + first * ldx * item, dy + first * ldy * item, batch - first}};
    fbp_part *const given = scratch(2 * sizeof *given);
    memcpy(given, parts, sizeof parts);
    fbp_prefetch next = {plain(k, 3, n_in), indices(3, 3), 0, 3, n_in, 0};
    void *panel = scratch(fbp_update_scratch(batch, k->item) * item);
    CALL(dense_gradient, blank(k, n_in, n), panel, given, 2, padded(k, n_in, n_out, ldy), n_in, n, ldx, ldy, ldy, &next);
    CALL(bias_gradient, blank(k, 1, n), panel, given, 2, n, ldy);
    release();
}

static void call_updates(const fbp_kernels *k, ptrdiff_t rows, ptrdiff_t n_out, ptrdiff_t extra)
{
    const ptrdiff_t n = whole_lines(k, n_out), ld = n + extra;
    for (int code = 0; code < 2 * FBP_N_RULES; code++) { /* each rule without and with clipping and the l1 penalty */
        const fbp_update update = update_of(now.code = code / 2, code % 2);
        CALL(apply_gradient, padded(k, rows, n_out, ld), state_of(k, update.rule, rows, n_out, ld), padded(k, rows, n_out, n),
             rows, n, ld, &update);
        release();
    }
    CALL(column_squares, take(n, sizeof(double)), padded(k, rows, n_out, ld), rows, n, ld);
    release();
    CALL(limit_columns, padded(k, rows, n_out, ld), doubles(3 * n), 3, rows, n, ld, n, 0.5);
    release();
}

static void call_streaming(const fbp_kernels *k, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t extra)
{
    const ptrdiff_t ldx = whole_lines(k, n_in) + extra, ldy = whole_lines(k, n_out) + extra, n = whole_lines(k, n_out);
    NOTE(active_rows, take(n_in + 1, sizeof(int32_t)), padded(k, batch, n_in, ldx), batch, n_in, ldx);
    release();
    for (int code = 0; code < 2 * FBP_N_ACTIVATIONS; code++) { /* over all inputs, and over those of a list */
        const fbp_activation f = {now.code = code / 2, 0.1};
        const ptrdiff_t listed = code % 2 ? (n_in + 1) / 2 : n_in;
        int32_t *index = code % 2 ? take(listed, sizeof *index) : NULL;
        for (ptrdiff_t i = 0; index && i < listed; i++)
            index[i] = (int32_t)(n_in - 1 - 2 * (listed - 1 - i));
        void *slope = f.code == FBP_SOFTMAX ? NULL : blank(k, batch, ldy);
        CALL(stream_forward, blank(k, batch, ldy), slope, padded(k, batch, n_in, ldx), padded(k, n_in, n_out, ldy),
             padded(k, 1, n_out, n), index, listed, batch, n_out, ldy, ldx, ldy, f);
        release();
    }
    for (int code = 0; code < 8 * FBP_N_RULES; code++) { /* each with extras, without delta, and for rows of a list */
        const fbp_update update = update_of(now.code = code / 8, code % 2);
        const ptrdiff_t listed = code & 4 ? (n_in + 1) / 2 : n_in;
        int32_t *index = take(listed, sizeof *index);
        for (ptrdiff_t i = 0; i < listed; i++)
            index[i] = (int32_t)(n_in - 1 - (code & 4 ? 2 : 1) * (listed - 1 - i));
        void *dx = code & 2 ? NULL : padded(k, batch, n_in, ldx), *b = code & 2 ? NULL : padded(k, 1, n_out, n);
        const fbp_state w_state = state_of(k, update.rule, n_in, n_out, ldy);
        const fbp_state b_state = b ? state_of(k, update.rule, 1, n_out, n) : (fbp_state){NULL, NULL};
        CALL(stream_backward, dx, padded(k, n_in, n_out, ldy), b, w_state, b_state, padded(k, batch, n_in, ldx),
             padded(k, batch, n_out, ldy), index, listed, batch, n_in, n_out, ldy, ldx, ldy, &update);
        release();
    }
}

static void call_outputs(const fbp_kernels *k, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t extra)
{
    const ptrdiff_t ld = whole_lines(k, n) + extra;
    for (int code = 0; code < FBP_N_ACTIVATIONS; code++) {
        const fbp_activation f = {now.code = code, 0.1};
        CALL(activation_delta, padded(k, batch, n, ld), padded(k, batch, n, ld), batch, n, ld, f);
        release();
        if (code != FBP_SOFTMAX) {
            const ptrdiff_t ldz = 2 * whole_lines(k, n) + extra;
            CALL(gate_forward, blank(k, batch, ld), padded(k, batch, ldz - extra, ldz), batch, n, 2, ld, ldz, FBP_PRODUCT, f);
            release();
            CALL(gate_delta, blank(k, batch, ldz), padded(k, batch, n, ld), padded(k, batch, ldz - extra, ldz), batch, n, 2, ld,
                 ldz, FBP_PRODUCT, f);
            release();
            CALL(activate, padded(k, 1, n, whole_lines(k, n)), whole_lines(k, n), f);
            release();
        }
    }
    static const fbp_activation_code LAST[] = {FBP_SIGMOID, FBP_SOFTMAX, FBP_GELU};
    for (int code = 0; code < 6 * FBP_N_LOSSES; code++) {
        const fbp_activation f = {LAST[code % 3], 0};
        void *slope = fbp_needs_slope(f.code) ? padded(k, batch, n, ld) : NULL;
        now.code = code / 6;
        CALL(loss_delta, blank(k, batch, ld), take(batch, sizeof(double)), take(batch, 1), padded(k, batch, n, ld), slope,
             padded(k, batch, n, ld), batch, n, ld, code / 6, f, 0.5, 0.5, code / 3 % 2);
        release();
    }
    for (ptrdiff_t pieces = now.code = 1; pieces < 4; now.code = (int)++pieces) {
        const ptrdiff_t ldz = pieces * whole_lines(k, n) + extra;
        const fbp_activation f = {FBP_LINEAR, 0};
        CALL(gate_forward, blank(k, batch, ld), padded(k, batch, ldz - extra, ldz), batch, n, pieces, ld, ldz, FBP_MAXOUT, f);
        release();
        CALL(gate_delta, blank(k, batch, ldz), padded(k, batch, n, ld), padded(k, batch, ldz - extra, ldz), batch, n, pieces,
             ld, ldz, FBP_MAXOUT, f);
        release();
    }
    const fbp_dropout dropout = {fbp_dropout_key(1, 2, 3), 4, 5, 0.5};
    CALL(drop_units, padded(k, batch, n, ld), padded(k, batch, n, ld), batch, n, ld, &dropout);
    release();
    CALL(weigh_rows, padded(k, batch, n, ld), doubles(batch), doubles(batch), batch, n, ld, 3, 2);
    release();
    CALL(smooth_rows, padded(k, batch, n, ld), batch, n, ld, 0.1);
    release();
}

static const size_t number_bytes[FBP_N_NUMBERS] = {
#define BYTES(NAME, name, type) sizeof(type),
    FBP_NUMBERS(BYTES)
#undef BYTES
};

/* Rows with every second number, as sparse_rows gives them. */
static fbp_sparse sparse_rows_of(const fbp_kernels *k, ptrdiff_t batch, ptrdiff_t n_in)
{
    const ptrdiff_t each = (n_in + 1) / 2, room = batch * each;
    const fbp_sparse rows = {plain(k, batch, each), take(room, sizeof(int32_t)), take(batch + 1, sizeof(ptrdiff_t)), room};
    for (ptrdiff_t i = 0; i < room; i++)
        rows.column[i] = (int32_t)(n_in - 1 - 2 * (each - 1 - i % each));
    for (ptrdiff_t i = 0; i <= batch; i++)
        rows.start[i] = i * each;
    return rows;
}

static void call_sparse(const fbp_kernels *k, ptrdiff_t batch, ptrdiff_t n_in, ptrdiff_t n_out, ptrdiff_t extra)
{
    const ptrdiff_t ldy = whole_lines(k, n_out) + extra, n = whole_lines(k, n_out), item = (ptrdiff_t)k->item;
    for (int code = 0; code < FBP_N_ACTIVATIONS; code++) {
        const fbp_activation f = {now.code = code, 0.1};
        const fbp_sparse rows = sparse_rows_of(k, batch, n_in);
        void *slope = code == FBP_SOFTMAX ? NULL : blank(k, batch, ldy);
        CALL(sparse_forward, blank(k, batch, ldy), slope, &rows, padded(k, n_in, n_out, ldy), padded(k, 1, n_out, n), batch,
             n_out, ldy, ldy, f);
        release();
    }
    for (int code = 0; code < 2 * FBP_N_RULES; code++) { /* each rule without and with clipping and the l1 penalty */
        const fbp_update update = update_of(now.code = code / 2, code % 2);
        const fbp_sparse rows = sparse_rows_of(k, batch, n_in);
        const ptrdiff_t most = (n_in + 1) / 2; /* features */
        fbp_features features = {
            take(rows.room, k->item), take(rows.room, 4), take(most, 4), take(most, sizeof(ptrdiff_t)), 0, take(n_in, 4)};
        const void **dy = scratch(batch * (ptrdiff_t)sizeof *dy);
        const char *deltas = padded(k, batch, n_out, ldy);
        for (ptrdiff_t b = 0; b < batch; b++)
            dy[b] = deltas + b * ldy * item;
        memset(features.place, 0, (size_t)n_in * 4);
        CALL(by_feature, &features, &rows, batch, batch);
        CALL(sparse_gradient, blank(k, n_in, n), &features, dy, 0, 0, n_in, n);
        CALL(sparse_update, padded(k, n_in, n_out, ldy), state_of(k, update.rule, n_in, n_out, ldy), &features, dy, 0, n, ldy,
             &update);
        release();
    }
}

static void put_index(void *array, ptrdiff_t bytes, ptrdiff_t at, ptrdiff_t value)
{
    if (bytes == 4)
        ((int32_t *)array)[at] = (int32_t)value;
    else
        ((int64_t *)array)[at] = value;
}

/* Rows of a matrix with every second number, whose last start and last column another thread has put out of range. */
static void call_sparse_rows(const fbp_kernels *k, ptrdiff_t batch, ptrdiff_t n)
{
    const ptrdiff_t each = (n + 1) / 2, room = batch * each, ld = whole_lines(k, n);
    for (int code = 0; code < 4 * FBP_N_NUMBERS; code++) { /* each type without and with a map, of either index */
        const ptrdiff_t bytes = room * (ptrdiff_t)number_bytes[code / 4], index = code & 2 ? 8 : 4;
        const double *mean = code & 1 ? doubles(n) : NULL, *scale = code & 1 ? doubles(n) : NULL;
        void *starts = take(batch + 1, (size_t)index), *columns = take(room, (size_t)index);
        for (ptrdiff_t i = 0; i <= batch; i++)
            put_index(starts, index, i, i < batch ? i * each : INT32_MAX);
        for (ptrdiff_t i = 0; i < room; i++)
            put_index(columns, index, i, i < room - 1 ? i % each * 2 : -1);
        const fbp_rows x = {.data = memset(take(bytes, 1), 1, (size_t)bytes),
                            .type = code / 4,
                            .n = n,
                            .mean = mean,
                            .scale = scale,
                            .starts = starts,
                            .columns = columns,
                            .index = index == 8 ? FBP_INT64 : FBP_INT32,
                            .n_values = room};
        const fbp_sparse rows = {take(room, k->item), take(room, 4), take(batch + 1, sizeof(ptrdiff_t)), room};
        now.code = code / 4;
        CALL(convert_rows, blank(k, batch, ld), &x, NULL, 0, batch, ld);
        CALL(sparse_rows, &rows, &x, NULL, 0, batch);
        release();
    }
}

/* Kernels on the memory of the user. */
static void call_inputs(const fbp_kernels *k, ptrdiff_t batch, ptrdiff_t n, ptrdiff_t extra)
{
    const ptrdiff_t ld = whole_lines(k, n) + extra, few = (batch + 1) / 2;
    CALL(add_rows, blank(k, batch, n), plain(k, batch, n), plain(k, batch, n), batch, n, n, n, n);
    release();
    for (int ordered = 0; ordered < 2; ordered++) { /* the second half of the rows */
        now.code = ordered;
        CALL(gather_rows, blank(k, few, ld), plain(k, batch, n), ordered ? indices(batch, batch) : NULL, batch - few, few, n,
             ld);
        release();
        NOTE(one_hot_rows, blank(k, few, ld), indices(batch, n), ordered ? indices(batch, batch) : NULL, batch - few, few, n,
             ld);
        release();
        for (int code = 0; code < 2 * FBP_N_NUMBERS; code++) { /* each type without and with a map */
            const ptrdiff_t bytes = batch * n * (ptrdiff_t)number_bytes[code / 2];
            const double *mean = code % 2 ? doubles(n) : NULL, *scale = code % 2 ? doubles(n) : NULL;
            const fbp_rows x = {
                .data = memset(take(bytes, 1), 1, (size_t)bytes), .type = code / 2, .n = n, .mean = mean, .scale = scale};
            now.code = code / 2;
            CALL(convert_rows, blank(k, few, ld), &x, ordered ? indices(batch, batch) : NULL, batch - few, few, ld);
            release();
        }
    }
    call_sparse_rows(k, batch, n);
    NOTE(all_finite, plain(k, batch, n), batch * n);
    release();
    NOTE(largest, plain(k, batch, n), batch * n);
    release();
    for (int code = now.code = 0; code < FBP_N_FUNCTIONS; now.code = ++code)
        CALL(elementary, blank(k, 1, whole_lines(k, n)), padded(k, 1, n, whole_lines(k, n)), whole_lines(k, n), code),
            release();
    CALL(fma_probe, scratch(4096), 2); /* as many bytes as its one caller has */
    release();
}

/* Calls all kernels for n_out = 1 .. most, each with all sizes of the other side if `every`, else some with one. */
static void call_all(const fbp_kernels *k, ptrdiff_t most, int every)
{
    static const ptrdiff_t BATCHES[] = {2, 3, 5, 8, 9, 17, 260, 1, 33};
    enum { N_BATCHES = sizeof BATCHES / sizeof *BATCHES };
    now.isa = k->isa, now.item = k->item;
    for (ptrdiff_t n = 1; n <= most; n++) {
        if (!every && n > most / 2 + 1 && n < most - 1)
            continue;
        for (ptrdiff_t i = 1; i <= (every ? most : 1); i++) {
            const ptrdiff_t n_in = every ? i : (n * 7 + 3) % most + 1, extra = (n + i) % 2 ? line_of(k) : 0;
            const ptrdiff_t batch = BATCHES[(n + i) % N_BATCHES];
            now.batch = batch, now.n_in = n_in, now.n_out = n;
            call_dense(k, batch, n_in, n, extra);
            call_sparse(k, batch, n_in, n, extra);
            if (batch <= FBP_FOLD_ROWS)
                call_streaming(k, batch, n_in, n, extra);
            if (i <= N_BATCHES) { /* these have one width alone */
                call_updates(k, batch, n, extra);
                call_outputs(k, batch, n, extra);
                call_inputs(k, batch, n, extra);
            }
        }
    }
}

static int missing(void)
{
    int n = 0;
    for (int i = 0; i < N_OPS; i++)
        n += calls[i] == 0;
    return n;
}

#ifndef _WIN32
/* ---- kernels with a fault, to see that it is found ---- */

static const fbp_kernels *whole;

static double reads_on(const void *x, ptrdiff_t n) { return whole->largest(x, n + 1); }

static void reads_before(void *out, const void *a, const void *b, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ldo, ptrdiff_t lda,
                         ptrdiff_t ldb)
{
    whole->largest((const char *)a - whole->item, n);
    whole->add_rows(out, a, b, rows, n, ldo, lda, ldb);
}

/* The same for a table; `planted`: with a `largest` and an `add_rows` that read one element outside. Returns the number of
 * kernels that were not called. */
int call_kernels(const fbp_kernels *kernels, int where, int every, int planted)
{
    const struct sigaction action = {.sa_handler = say_where};
    fbp_kernels copy = *kernels;
    place = where, whole = kernels;
    if (planted)
        copy.largest = reads_on, copy.add_rows = reads_before;
    sigaction(SIGSEGV, &action, NULL), sigaction(SIGBUS, &action, NULL);
    make_regions();
    call_all(&copy, 2 * line_of(kernels) + 1, every);
    return missing();
}
#endif

const uint64_t *digest_kernels(const fbp_kernels *kernels)
{
    static _Alignas(FBP_LINE_BYTES) char memory[SLOTS][REGION];
    place = DIGESTED, n_calls = 0;
    for (int i = 0; i < SLOTS; i++)
        regions[i] = memory[i];
    memset(digests, 0, sizeof digests);
    call_all(kernels, 2 * line_of(kernels) + 1, 0);
    return missing() ? NULL : digests;
}

#ifdef WITH_MAIN
/* With any argument a fault is planted. */
int main(int n_arguments, char **arguments)
{
    int uncalled = 0;
    (void)arguments;
    for (int i = 0; fbp_isa_name(i); i++)
        for (int dtype = 0; dtype < FBP_N_DTYPES; dtype++) {
            const fbp_kernels *kernels = fbp_find_kernels(fbp_isa_name(i), dtype);
            if (!kernels)
                continue;
            uncalled += call_kernels(kernels, EXACT, 0, n_arguments > 1);
            printf("%s f%zu\n", kernels->isa, 8 * kernels->item);
        }
    return uncalled != 0;
}
#endif
