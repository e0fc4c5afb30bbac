// Small helpers over the C API, for the code that runs once per recorded instruction.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>

namespace opentrn {

// An attribute as an owned reference; an attribute that is missing is Python's error.
inline nanobind::object attribute(PyObject* object, PyObject* name) {
    PyObject* value = PyObject_GetAttr(object, name);
    if (!value) nanobind::raise_python_error();
    return nanobind::steal(value);
}

inline nanobind::object attribute(PyObject* object, const char* name) {
    PyObject* value = PyObject_GetAttrString(object, name);
    if (!value) nanobind::raise_python_error();
    return nanobind::steal(value);
}

inline int64_t integer(PyObject* value) {
    int64_t result = PyLong_AsLongLong(value);
    if (result == -1 && PyErr_Occurred()) nanobind::raise_python_error();
    return result;
}

inline int64_t integer(const nanobind::object& value) { return integer(value.ptr()); }

inline bool truth(const nanobind::object& value) { return value.ptr() == Py_True; }

// An item of a tuple (borrowed); an index out of range is Python's error.
inline PyObject* item(PyObject* tuple, Py_ssize_t n) {
    PyObject* found = PyTuple_GetItem(tuple, n);
    if (!found) nanobind::raise_python_error();
    return found;
}

inline int64_t word(const void* pointer) { return static_cast<int64_t>(reinterpret_cast<intptr_t>(pointer)); }

}  // namespace opentrn
