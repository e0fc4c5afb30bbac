// What the types share that are laid out here and get their methods in Python.
//
// They refer to older ones and to plain data only, so that no cycle can form: none has a tp_traverse.
#pragma once
#include <nanobind/nanobind.h>

#include <exception>

#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#define Py_T_BOOL T_BOOL
#define Py_T_LONGLONG T_LONGLONG
#define Py_T_OBJECT_EX T_OBJECT_EX
#define Py_T_PYSSIZET T_PYSSIZET
#define Py_READONLY READONLY
#endif

namespace opentrn {

inline PyObject* owned(PyObject* object) { return nanobind::borrow(object).release().ptr(); }

// The end of a tp_dealloc.
inline void free_object(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

// What `function` gives; nullptr with Python's error set when it throws.
template <class Function> PyObject* guarded(Function function) {
    try {
        return function();
    } catch (nanobind::python_error& error) {
        error.restore();
    } catch (const nanobind::builtin_exception& error) {
        PyErr_SetString(PyExc_TypeError, error.what());
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

inline PyTypeObject* new_type(nanobind::module_& m, const char* name, PyType_Spec& spec) {
    PyObject* type = PyType_FromSpec(&spec);
    if (!type) nanobind::raise_python_error();
    m.attr(name) = nanobind::handle(type);
    return reinterpret_cast<PyTypeObject*>(type);
}

}  // namespace opentrn
