/* fastbp.h: networks and trainers of fastbp in C and C++, without a call of Python between opening and closing.
 *
 *     python -c "import fastbp; print(fastbp.get_include())"      the folder of this file
 *
 * The functions are in a table that `import fastbp` makes. A module that includes Python.h before this file calls
 * fastbp_import() once, with the GIL held, before any other function; other code gets the table from such a module by
 * fastbp_use(). Each source file that calls functions needs one of the two. docs/embedding.md has the rules of lifetime,
 * threads and memory, and two whole examples.
 *
 * A function returns 0 (FASTBP_OK) or a negative code (enum fastbp_code); then it has written nothing. Matrices are row after
 * row without gaps, [n][n_inputs] or [n][n_outputs], of the dtype that the handle was opened with, aligned as their numbers
 * are, and do not overlap. Flat parameters are those of Network.parameters: of each layer with a weight, in their order, the
 * weight row after row, [n_in][n_out], then the bias. No function but those that open, load, refresh and close needs the GIL,
 * and those take it themselves: any function may be called with the GIL or without it.
 */
#ifndef FASTBP_H
#define FASTBP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the table. Another major version has other functions; a later minor version has more of them at the end. */
#ifndef FASTBP_ABI_MAJOR
#define FASTBP_ABI_MAJOR 1
#endif
#ifndef FASTBP_ABI_MINOR
#define FASTBP_ABI_MINOR 0
#endif
#define FASTBP_CAPSULE "fastbp.embedding._C_API"

enum fastbp_dtype { FASTBP_FLOAT32 = 1, FASTBP_FLOAT64 = 2 };

enum fastbp_code {
    FASTBP_OK = 0,
    FASTBP_ERROR_NULL = -1,         /* a pointer is NULL that must not be, or fastbp_import was not called */
    FASTBP_ERROR_HANDLE = -2,       /* the handle is closed, or of the other kind; the object is no Network or Trainer */
    FASTBP_ERROR_SIZE = -3,         /* a number of rows, parameters or bytes of scratch does not fit */
    FASTBP_ERROR_DTYPE = -4,        /* the network has another dtype, or there is no such dtype */
    FASTBP_ERROR_INPUT = -5,        /* a number of x is not finite, or is not in the network's dtype */
    FASTBP_ERROR_TARGET = -6,       /* a target, label or dL/dy is not finite, or none that the loss takes */
    FASTBP_ERROR_WEIGHT = -7,       /* a weight of a row is not finite or below 0, or their sum is not usable */
    FASTBP_ERROR_VALUE = -8,        /* a parameter is not finite; tau is not in [0, 1] */
    FASTBP_ERROR_BUSY = -9,         /* another call is using the handle's memory, or is training or writing the network */
    FASTBP_ERROR_CHANGED = -10,     /* Python has changed what the handle was opened for: refresh it, or open it again */
    FASTBP_ERROR_RATES = -11,       /* the learning rates that were computed ahead are used up: refresh it */
    FASTBP_ERROR_DIVERGED = -12,    /* the loss, weights or optimizer state would not be finite; all is as before the step */
    FASTBP_ERROR_FORM = -13,        /* the two networks have different layers, inputs or dtypes */
    FASTBP_ERROR_UNSUPPORTED = -14, /* a step would need Python, or the handle was opened without what this needs */
    FASTBP_ERROR_MEMORY = -15,      /* no memory */
    FASTBP_ERROR_FILE = -16,        /* the file cannot be read, or holds no such model */
    FASTBP_ERROR_PYTHON = -17       /* Python raised something else */
};

/* The text of a code. */
static inline const char *fastbp_error_text(int code)
{
    switch (code) {
    case FASTBP_OK: return "ok";
    case FASTBP_ERROR_NULL: return "a pointer is NULL that must not be, or fastbp_import was not called";
    case FASTBP_ERROR_HANDLE:
        return "the handle is closed or of the other kind, or the object is no Network or Trainer of fastbp";
    case FASTBP_ERROR_SIZE: return "a number of rows, of parameters or of bytes of scratch does not fit";
    case FASTBP_ERROR_DTYPE: return "the network has another dtype, or there is no such dtype";
    case FASTBP_ERROR_INPUT: return "a number of x is not finite in the network's dtype";
    case FASTBP_ERROR_TARGET: return "a target, label or dL/dy is not finite, or none that the loss takes";
    case FASTBP_ERROR_WEIGHT: return "a weight of a row is not finite or below 0, or all are 0";
    case FASTBP_ERROR_VALUE: return "a parameter is not finite, or tau is not in [0, 1]";
    case FASTBP_ERROR_BUSY: return "another call is using the handle's memory, or is training or writing the network";
    case FASTBP_ERROR_CHANGED: return "Python has trained or changed what the handle was opened for: refresh it";
    case FASTBP_ERROR_RATES: return "the learning rates that were computed ahead are used up: refresh the trainer";
    case FASTBP_ERROR_DIVERGED: return "the loss, the weights or the optimizer's state would not be finite; all is as before";
    case FASTBP_ERROR_FORM: return "the two networks have different layers, inputs or dtypes";
    case FASTBP_ERROR_UNSUPPORTED: return "this would need Python, or the handle was opened without what this needs";
    case FASTBP_ERROR_MEMORY: return "no memory";
    case FASTBP_ERROR_FILE: return "the file cannot be read, or holds no such model";
    case FASTBP_ERROR_PYTHON: return "Python raised an error: see fastbp_message";
    default: return "no code of fastbp";
    }
}

typedef struct fastbp_network fastbp_network;
typedef struct fastbp_trainer fastbp_trainer;

typedef struct fastbp_sizes {
    ptrdiff_t n_inputs, n_outputs, n_parameters;
    ptrdiff_t max_rows;     /* of a call that computes gradients, as the handle was opened; 0: none does */
    int32_t dtype, x_dtype; /* enum fastbp_dtype */
} fastbp_sizes;

/* The table. Its functions are those below, which say what they do. */
typedef struct fastbp_api {
    int32_t abi_major, abi_minor;
    size_t size;         /* bytes of the table */
    const char *version; /* of fastbp */
    const char *(*message)(void);
    int (*open_network)(void *network, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_network **out);
    int (*load_network)(const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_network **out);
    int (*refresh_network)(fastbp_network *network);
    int (*close_network)(fastbp_network *network);
    int (*network_object)(fastbp_network *network, void **out);
    int (*network_sizes)(fastbp_network *network, fastbp_sizes *out);
    ptrdiff_t (*scratch_bytes)(fastbp_network *network, ptrdiff_t n);
    int (*predict)(fastbp_network *network, const void *x, ptrdiff_t n, void *y);
    int (*predict_with)(fastbp_network *network, const void *x, ptrdiff_t n, void *y, void *scratch, ptrdiff_t bytes);
    int (*backward)(fastbp_network *network, const void *x, const void *dy, ptrdiff_t n, void *dw, void *dx);
    int (*get_parameters)(fastbp_network *network, void *out, ptrdiff_t n_parameters);
    int (*set_parameters)(fastbp_network *network, const void *values, ptrdiff_t n_parameters);
    int (*copy_parameters)(fastbp_network *to, fastbp_network *from);
    int (*lerp)(fastbp_network *to, fastbp_network *from, double tau);
    int (*open_trainer)(void *trainer, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_trainer **out);
    int (*load_trainer)(const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_trainer **out);
    int (*refresh_trainer)(fastbp_trainer *trainer);
    int (*close_trainer)(fastbp_trainer *trainer);
    int (*trainer_object)(fastbp_trainer *trainer, void **out);
    int (*trainer_network)(fastbp_trainer *trainer, fastbp_network **out);
    int (*trainer_sizes)(fastbp_trainer *trainer, fastbp_sizes *out);
    int (*trainer_steps)(fastbp_trainer *trainer, int64_t *out);
    int (*gradient)(fastbp_trainer *trainer, const void *x, const void *y, const int64_t *labels, const double *weights,
                    ptrdiff_t n, double *loss, void *dw, void *dx);
    int (*step)(fastbp_trainer *trainer, const void *x, const void *y, const int64_t *labels, const double *weights,
                ptrdiff_t n, double *loss);
    int (*step_from)(fastbp_trainer *trainer, const void *x, const void *dy, ptrdiff_t n, double loss);
} fastbp_api;

/* The table that the functions of this source file use. */
static const fastbp_api *fastbp_table = NULL;

/* Use a table that another source file has imported; FASTBP_ERROR_NULL for NULL. */
static inline int fastbp_use(const fastbp_api *table)
{
    fastbp_table = table;
    return table ? FASTBP_OK : FASTBP_ERROR_NULL;
}

/* ---- opening, with or without the GIL ---- */

/* What the last function that opened, loaded or refreshed said in this thread when it failed; "" if none did. */
static inline const char *fastbp_message(void)
{
    return fastbp_table ? fastbp_table->message() : "fastbp_import has not been called";
}

/* Open a fastbp.Network (a PyObject *), of which the handle holds a reference until it is closed. Arrays are of `dtype`, which
 * must be the network's; x alone is of `x_dtype`, which may be FASTBP_FLOAT64 for a network of float32: numbers are then
 * rounded as Network.predict does. `max_rows` is the most rows of a call of fastbp_backward, for which memory is allocated now;
 * 0 for none. */
static inline int fastbp_open_network(void *network, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_network **out)
{
    return fastbp_table ? fastbp_table->open_network(network, dtype, x_dtype, max_rows, out) : FASTBP_ERROR_NULL;
}

/* The same for a file that Network.save or Trainer.save has written. */
static inline int fastbp_load_network(const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_network **out)
{
    return fastbp_table ? fastbp_table->load_network(path, dtype, x_dtype, max_rows, out) : FASTBP_ERROR_NULL;
}

/* Take over what has changed in Python since the handle was opened: FASTBP_ERROR_CHANGED asks for it. */
static inline int fastbp_refresh_network(fastbp_network *network)
{
    return fastbp_table ? fastbp_table->refresh_network(network) : FASTBP_ERROR_NULL;
}

/* Free all but 64 bytes of a handle, which say for ever that it is closed. FASTBP_ERROR_BUSY while a call uses it. */
static inline int fastbp_close_network(fastbp_network *network)
{
    return fastbp_table ? fastbp_table->close_network(network) : FASTBP_ERROR_NULL;
}

/* A new reference to the Network, for calls of Python, such as save; needs the GIL. */
static inline int fastbp_network_object(fastbp_network *network, void **out)
{
    return fastbp_table ? fastbp_table->network_object(network, out) : FASTBP_ERROR_NULL;
}

/* ---- networks ---- */

static inline int fastbp_network_sizes(fastbp_network *network, fastbp_sizes *out)
{
    return fastbp_table ? fastbp_table->network_sizes(network, out) : FASTBP_ERROR_NULL;
}

/* Bytes of scratch that fastbp_predict_with needs for n rows, whatever its alignment; or a negative code. */
static inline ptrdiff_t fastbp_scratch_bytes(fastbp_network *network, ptrdiff_t n)
{
    return fastbp_table ? fastbp_table->scratch_bytes(network, n) : (ptrdiff_t)FASTBP_ERROR_NULL;
}

/* y[n][n_outputs] = Network.predict(x[n][n_inputs]), to the last bit. One thread at a time a handle; for any n. */
static inline int fastbp_predict(fastbp_network *network, const void *x, ptrdiff_t n, void *y)
{
    return fastbp_table ? fastbp_table->predict(network, x, n, y) : FASTBP_ERROR_NULL;
}

/* The same in the caller's scratch: any number of threads at once, each with its own. */
static inline int fastbp_predict_with(fastbp_network *network, const void *x, ptrdiff_t n, void *y, void *scratch,
                                      ptrdiff_t bytes)
{
    return fastbp_table ? fastbp_table->predict_with(network, x, n, y, scratch, bytes) : FASTBP_ERROR_NULL;
}

/* Backpropagation from dy[n][n_outputs] = dL/dy, of any L: dw[n_parameters] = dL/dw, summed over the rows, and
 * dx[n][n_inputs] = dL/dx. NULL for one that is not wanted. n is at most max_rows. */
static inline int fastbp_backward(fastbp_network *network, const void *x, const void *dy, ptrdiff_t n, void *dw, void *dx)
{
    return fastbp_table ? fastbp_table->backward(network, x, dy, n, dw, dx) : FASTBP_ERROR_NULL;
}

static inline int fastbp_get_parameters(fastbp_network *network, void *out, ptrdiff_t n_parameters)
{
    return fastbp_table ? fastbp_table->get_parameters(network, out, n_parameters) : FASTBP_ERROR_NULL;
}

static inline int fastbp_set_parameters(fastbp_network *network, const void *values, ptrdiff_t n_parameters)
{
    return fastbp_table ? fastbp_table->set_parameters(network, values, n_parameters) : FASTBP_ERROR_NULL;
}

static inline int fastbp_copy_parameters(fastbp_network *to, fastbp_network *from)
{
    return fastbp_table ? fastbp_table->copy_parameters(to, from) : FASTBP_ERROR_NULL;
}

/* to = (1 - tau) * to + tau * from, as Network.lerp. */
static inline int fastbp_lerp(fastbp_network *to, fastbp_network *from, double tau)
{
    return fastbp_table ? fastbp_table->lerp(to, from, tau) : FASTBP_ERROR_NULL;
}

/* ---- trainers ---- */

/* Open a fastbp.Trainer (a PyObject *) for calls of at most `max_rows` rows; the rest as for fastbp_open_network. A step runs
 * on the calling thread. FASTBP_ERROR_UNSUPPORTED if a step would need Python: a loss that is a function, LBFGS, class_weight;
 * or if it has several parts (accumulate). */
static inline int fastbp_open_trainer(void *trainer, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_trainer **out)
{
    return fastbp_table ? fastbp_table->open_trainer(trainer, dtype, x_dtype, max_rows, out) : FASTBP_ERROR_NULL;
}

/* The same for a file that Trainer.save has written. */
static inline int fastbp_load_trainer(const char *path, int dtype, int x_dtype, ptrdiff_t max_rows, fastbp_trainer **out)
{
    return fastbp_table ? fastbp_table->load_trainer(path, dtype, x_dtype, max_rows, out) : FASTBP_ERROR_NULL;
}

/* Go on where Python has left network and trainer, and compute the learning rates of the next steps. */
static inline int fastbp_refresh_trainer(fastbp_trainer *trainer)
{
    return fastbp_table ? fastbp_table->refresh_trainer(trainer) : FASTBP_ERROR_NULL;
}

static inline int fastbp_close_trainer(fastbp_trainer *trainer)
{
    return fastbp_table ? fastbp_table->close_trainer(trainer) : FASTBP_ERROR_NULL;
}

static inline int fastbp_trainer_object(fastbp_trainer *trainer, void **out)
{
    return fastbp_table ? fastbp_table->trainer_object(trainer, out) : FASTBP_ERROR_NULL;
}

/* Open the trainer's network, as the trainer was opened; it is closed on its own. */
static inline int fastbp_trainer_network(fastbp_trainer *trainer, fastbp_network **out)
{
    return fastbp_table ? fastbp_table->trainer_network(trainer, out) : FASTBP_ERROR_NULL;
}

static inline int fastbp_trainer_sizes(fastbp_trainer *trainer, fastbp_sizes *out)
{
    return fastbp_table ? fastbp_table->trainer_sizes(trainer, out) : FASTBP_ERROR_NULL;
}

/* Steps in the life of the trainer: Trainer.n_steps. */
static inline int fastbp_trainer_steps(fastbp_trainer *trainer, int64_t *out)
{
    return fastbp_table ? fastbp_table->trainer_steps(trainer, out) : FASTBP_ERROR_NULL;
}

/* The mean loss and its gradients, as Network.gradients with the trainer's loss. The targets are y[n][n_outputs], or labels[n]
 * of 0 .. n_outputs - 1 for losses of classes, the other one NULL; weights[n] of the rows, or NULL. NULL for a result that is
 * not wanted. */
static inline int fastbp_gradient(fastbp_trainer *trainer, const void *x, const void *y, const int64_t *labels,
                                  const double *weights, ptrdiff_t n, double *loss, void *dw, void *dx)
{
    return fastbp_table ? fastbp_table->gradient(trainer, x, y, labels, weights, n, loss, dw, dx) : FASTBP_ERROR_NULL;
}

/* One step of the optimizer on these rows, as Trainer.step; `loss` may be NULL. */
static inline int fastbp_step(fastbp_trainer *trainer, const void *x, const void *y, const int64_t *labels,
                              const double *weights, ptrdiff_t n, double *loss)
{
    return fastbp_table ? fastbp_table->step(trainer, x, y, labels, weights, n, loss) : FASTBP_ERROR_NULL;
}

/* One step of the optimizer along the gradient that fastbp_backward gives for dy. `loss` is the mean loss of the rows for the
 * trainer's record of the epoch; NaN if it is not known: then these rows have no share in its means. */
static inline int fastbp_step_from(fastbp_trainer *trainer, const void *x, const void *dy, ptrdiff_t n, double loss)
{
    return fastbp_table ? fastbp_table->step_from(trainer, x, dy, n, loss) : FASTBP_ERROR_NULL;
}

#ifdef Py_PYTHON_H
/* Import fastbp and its table; 0, or -1 with a Python exception. An ImportError names both versions if they do not fit. */
static inline int fastbp_import(void)
{
    PyObject *const module = PyImport_ImportModule("fastbp.embedding");
    const fastbp_api *found;
    if (!module)
        return -1;
    Py_DECREF(module);
    found = (const fastbp_api *)PyCapsule_Import(FASTBP_CAPSULE, 0);
    if (!found)
        return -1;
    if (found->abi_major != FASTBP_ABI_MAJOR || found->abi_minor < FASTBP_ABI_MINOR ||
        (found->abi_minor == FASTBP_ABI_MINOR && found->size < sizeof(fastbp_api))) {
        PyErr_Format(PyExc_ImportError,
                     "this module was built for version %d.%d of fastbp's C functions, and fastbp %s, which is installed, has "
                     "version %d.%d: %s",
                     FASTBP_ABI_MAJOR, FASTBP_ABI_MINOR, found->version, (int)found->abi_major, (int)found->abi_minor,
                     found->abi_major < FASTBP_ABI_MAJOR ||
                             (found->abi_major == FASTBP_ABI_MAJOR && found->abi_minor < FASTBP_ABI_MINOR)
                         ? "update fastbp (pip install --upgrade fastbp)"
                         : "build this module again with the header of the installed fastbp (fastbp.get_include())");
        return -1;
    }
    fastbp_table = found;
    return 0;
}
#endif

#ifdef __cplusplus
}
#endif

#endif
