// View: the layout and the quick paths of opentrn.program.view.View, as a base class for it.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>

#include "storage.hpp"

namespace opentrn {

struct Element {
    PyObject* name;
    int64_t itemsize;
    int64_t id;
};

struct View {
    static constexpr int32_t inline_rank = 4, unknown = -1;

    PyObject_HEAD
    TensorStorage* storage;  // nullptr before the view has been filled
    const Element* dtype;
    PyObject* dynamic;  // nullptr: a static address
    PyObject* weak_references;
    int64_t offset;
    int32_t rank, key;
    int64_t* dims;  // `rank` sizes, then `rank` strides
    int64_t inline_dims[2 * inline_rank];

    const int64_t* shape() const { return dims; }
    const int64_t* strides() const { return dims + rank; }
    Allocation& allocation() const { return storage->allocation(); }
};

// The object as a filled View; nullptr when it is none.
View* as_view(PyObject* object);

// The view's `key`: equal for views that every rule, cost and native plan treats alike. Raises Python errors.
int32_t key_of(View& view);

void bind_view(nanobind::module_& m);

}  // namespace opentrn
