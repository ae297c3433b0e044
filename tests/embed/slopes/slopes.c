/* slopes.c: the outputs of a network for one row, and the slopes of each output by the inputs. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <fastbp.h>

static PyObject *raise_code(int code)
{
    const char *said = fastbp_message();
    return PyErr_Format(PyExc_RuntimeError, "%s%s%s", fastbp_error_text(code), *said ? ": " : "", said);
}

/* y[n_outputs] and slopes[n_outputs][n_inputs] for x[n_inputs], with dy of as many numbers as y. */
static int slopes_of(fastbp_network *network, const fastbp_sizes *sizes, const float *x, float *y, float *slopes, float *dy)
{
    int code = fastbp_predict(network, x, 1, y);
    for (ptrdiff_t j = 0; code == FASTBP_OK && j < sizes->n_outputs; j++) {
        dy[j] = 1;
        code = fastbp_backward(network, x, dy, 1, NULL, slopes + j * sizes->n_inputs);
        dy[j] = 0;
    }
    return code;
}

/* slopes.row(network, x): x is bytes of float32; returns bytes of y and bytes of the slopes. */
static PyObject *row(PyObject *module, PyObject *arguments)
{
    PyObject *object, *y = NULL, *slopes = NULL, *dy = NULL, *found = NULL;
    fastbp_network *network = NULL;
    fastbp_sizes sizes;
    const char *x;
    Py_ssize_t bytes;
    int code;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "Oy#", &object, &x, &bytes))
        return NULL;
    code = fastbp_open_network(object, FASTBP_FLOAT32, FASTBP_FLOAT32, 1, &network);
    if (code == FASTBP_OK)
        code = fastbp_network_sizes(network, &sizes);
    if (code == FASTBP_OK && bytes != sizes.n_inputs * 4)
        code = FASTBP_ERROR_SIZE;
    if (code == FASTBP_OK) {
        y = PyBytes_FromStringAndSize(NULL, sizes.n_outputs * 4);
        dy = PyByteArray_FromStringAndSize(NULL, sizes.n_outputs * 4);
        slopes = PyBytes_FromStringAndSize(NULL, sizes.n_outputs * sizes.n_inputs * 4);
        if (y && dy && slopes) {
            float *const numbers = (float *)PyByteArray_AsString(dy);
            for (ptrdiff_t j = 0; j < sizes.n_outputs; j++)
                numbers[j] = 0;
            Py_BEGIN_ALLOW_THREADS code =
                slopes_of(network, &sizes, (const float *)(const void *)x, (float *)(void *)PyBytes_AS_STRING(y),
                          (float *)(void *)PyBytes_AS_STRING(slopes), numbers);
            Py_END_ALLOW_THREADS if (code == FASTBP_OK) found = PyTuple_Pack(2, y, slopes);
        }
    }
    if (code != FASTBP_OK)
        raise_code(code);
    fastbp_close_network(network);
    Py_XDECREF(y);
    Py_XDECREF(dy);
    Py_XDECREF(slopes);
    return found;
}

static PyMethodDef functions[] = {{"row", row, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "slopes", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_slopes(void)
{
    PyObject *module = fastbp_import() ? NULL : PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    if (module) /* calls share no memory of this module */
        PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
