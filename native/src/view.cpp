#include "view.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "layout.hpp"
#include "python.hpp"
#include "words.hpp"

namespace nb = nanobind;

namespace opentrn {

namespace {

constexpr int32_t max_rank = 16;  // of the quick paths; Python takes what has more

PyTypeObject* view_type = nullptr;

View& view_of(PyObject* object) { return *reinterpret_cast<View*>(object); }

// ---------------------------------------------------------------- making views
const Element* dtype_of(PyObject* name) {
    static std::vector<Element*> known;
    for (const Element* dtype : known) {
        if (dtype->name == name) return dtype;
    }
    for (const Element* dtype : known) {
        if (nb::handle(dtype->name).equal(nb::handle(name))) return dtype;
    }
    static PyObject* const table = nb::module_::import_("opentrn.numerics.dtypes").attr("DTYPES").inc_ref().ptr();
    nb::object entry = nb::steal(PyObject_GetItem(table, name));
    if (!entry.is_valid()) nb::raise_python_error();
    int64_t itemsize = integer(attribute(entry.ptr(), "itemsize"));
    known.push_back(new Element{owned(name), itemsize, static_cast<int64_t>(known.size())});
    return known.back();
}

void drop_dims(View& view) {
    if (view.dims && view.dims != view.inline_dims) delete[] view.dims;
}

void new_dims(View& view, int32_t rank) {
    view.rank = rank;
    view.dims = rank <= View::inline_rank ? view.inline_dims : new int64_t[2 * static_cast<size_t>(rank)];
}

// A view of the type of `like` with the same tensor, dtype and run-time index; its dims are for the caller to set.
View* derived(View& like, int32_t rank, int64_t offset) {
    PyObject* object = PyType_GenericAlloc(Py_TYPE(reinterpret_cast<PyObject*>(&like)), 0);
    if (!object) nb::raise_python_error();
    View& made = view_of(object);
    made.storage = like.storage;
    Py_INCREF(reinterpret_cast<PyObject*>(made.storage));
    made.dtype = like.dtype;
    made.dynamic = like.dynamic;
    Py_XINCREF(made.dynamic);
    made.offset = offset;
    made.key = View::unknown;
    new_dims(made, rank);
    return &made;
}

void set_dims(View& view, PyObject* shape, PyObject* strides) {
    for (int32_t d = 0; d < view.rank; d++) {
        view.dims[d] = integer(item(shape, d));
        view.dims[view.rank + d] = integer(item(strides, d));
    }
}

nb::object tuple_from(PyObject* sequence) {
    nb::object made = nb::steal(PySequence_Tuple(sequence));
    if (!made.is_valid()) nb::raise_python_error();
    return made;
}

// Everything but the sizes and strides, which are for the caller to set.
void bind(View& view, PyObject* storage, PyObject* dtype, PyObject* dynamic, int64_t offset, int32_t rank) {
    if (view.storage) throw nb::type_error("the view has been filled already");
    view.dtype = dtype_of(dtype);
    view.storage = &as_storage(storage);
    Py_INCREF(storage);
    view.dynamic = dynamic == Py_None ? nullptr : owned(dynamic);
    view.offset = offset;
    new_dims(view, rank);
}

void fill(View& view, PyObject* const* args) {
    nb::object shape = tuple_from(args[1]), strides = tuple_from(args[2]);
    bind(view, args[0], args[4], args[5], integer(args[3]), static_cast<int32_t>(PyTuple_Size(shape.ptr())));
    set_dims(view, shape.ptr(), strides.ptr());
}

// The dense view of everything in the storage.
void fill_whole(View& view, PyObject* storage) {
    const Allocation& allocation = as_storage(storage).allocation();
    auto rank = static_cast<int32_t>(PyTuple_Size(allocation.shape));
    bind(view, storage, attribute(allocation.dtype, "name").ptr(), Py_None, 0, rank);
    int64_t step = 1;
    for (int32_t d = rank; d-- > 0;) {
        view.dims[d] = integer(item(allocation.shape, d));
        view.dims[rank + d] = step;
        step *= view.dims[d];
    }
}

// ---------------------------------------------------------------- indexing
struct Cut {
    int64_t start, step, count;
    bool dropped;
};

bool plain_integer(PyObject* object, int64_t& value) {
    if (!PyLong_CheckExact(object)) return false;
    int overflow = 0;
    value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return !overflow;
}

bool bound(PyObject* object, int64_t absent, int64_t& value) {
    if (object != Py_None) return plain_integer(object, value);
    value = absent;
    return true;
}

bool bounds(PyObject* key, int64_t& start, int64_t& stop, int64_t& step, int64_t size) {
#ifdef Py_LIMITED_API
    nb::object first = attribute(key, "start"), end = attribute(key, "stop"), by = attribute(key, "step");
    return bound(first.ptr(), 0, start) && bound(end.ptr(), size, stop) && bound(by.ptr(), 1, step);
#else
    auto slice = reinterpret_cast<PySliceObject*>(key);
    return bound(slice->start, 0, start) && bound(slice->stop, size, stop) && bound(slice->step, 1, step);
#endif
}

// False: not a plain slice or integer, or one that the rules of View._bounds refuse; Python says which.
bool cut(const View& view, int32_t dim, PyObject* key, Cut& result) {
    int64_t size = view.shape()[dim], start, stop, step;
    if (PySlice_Check(key)) {
        if (!bounds(key, start, stop, step, size)) return false;
        start += start < 0 ? size : 0;
        stop += stop < 0 ? size : 0;
        bool empty = start == stop && view.allocation().on_chip;
        if (step < 1 || start < 0 || start > stop || stop > size || empty) return false;
        result = {start, step, (stop - start + step - 1) / step, false};
        return true;
    }
    if (!plain_integer(key, start) || start < -size || start >= size) return false;
    result = {start < 0 ? start + size : start, 1, 1, true};
    return true;
}

bool cuts_of(const View& view, PyObject* const* keys, int32_t count, Cut* cuts) {
    int32_t dots = -1;
    for (int32_t k = 0; k < count; k++) {
        if (keys[k] != Py_Ellipsis) continue;
        if (dots >= 0) return false;
        dots = k;
    }
    int32_t given = dots < 0 ? count : count - 1, missing = view.rank - given;
    if (missing < 0) return false;
    int32_t dim = 0;
    for (int32_t k = 0; k <= count; k++) {
        if (k == (dots < 0 ? count : dots)) {
            for (int32_t m = 0; m < missing; m++, dim++) cuts[dim] = {0, 1, view.shape()[dim], false};
        } else if (k < count) {
            if (!cut(view, dim, keys[k], cuts[dim])) return false;
            dim++;
        }
    }
    return true;
}

// The dimensions that stay: on chip the partition and at least two, in HBM at least one (View._drop).
int32_t kept_dims(const View& view, const Cut* cuts, int32_t* kept) {
    int32_t count = 0, dropped = 0;
    for (int32_t d = 0; d < view.rank; d++) {
        dropped += cuts[d].dropped;
        if (!cuts[d].dropped || (d == 0 && view.allocation().on_chip)) kept[count++] = d;
    }
    if (!dropped) return count;
    if (view.allocation().on_chip ? count < 2 && view.rank >= 2 : count == 0) kept[count++] = view.rank - 1;
    return count;
}

PyObject* window(View& view, const Cut* cuts) {
    int32_t kept[max_rank + 1], rank = kept_dims(view, cuts, kept);
    int64_t offset = view.offset;
    for (int32_t d = 0; d < view.rank; d++) offset += cuts[d].start * view.strides()[d];
    View* made = derived(view, rank, offset);
    for (int32_t k = 0; k < rank; k++) {
        int32_t d = kept[k];
        made->dims[k] = cuts[d].count;
        made->dims[rank + k] = view.strides()[d] * cuts[d].step;
    }
    return reinterpret_cast<PyObject*>(made);
}

// A window by plain slices, integers and an ellipsis; nullptr where Python has to look.
PyObject* quick_subscript(View& view, PyObject* key) {
    if (!view.storage || view.dynamic || view.rank > max_rank) return nullptr;
    PyObject* keys[max_rank + 1];
    Cut cuts[max_rank];
    Py_ssize_t count = 1;
    if (PyTuple_CheckExact(key)) {
        count = PyTuple_Size(key);
        if (count > view.rank + 1) return nullptr;
        for (Py_ssize_t k = 0; k < count; k++) keys[k] = item(key, k);
    } else {
        keys[0] = key;
    }
    return cuts_of(view, keys, static_cast<int32_t>(count), cuts) ? window(view, cuts) : nullptr;
}

// ---------------------------------------------------------------- the key
// The number of what a run-time index adds to the key; -1 for a static address.
int64_t moves_of(View& view) {
    if (!view.dynamic) return -1;
    static PyObject* const numbers = PyDict_New();
    nb::object moves = nb::borrow(reinterpret_cast<PyObject*>(&view)).attr("_moves")();
    if (PyObject* known = PyDict_GetItemWithError(numbers, moves.ptr())) return integer(known);
    if (PyErr_Occurred()) nb::raise_python_error();
    nb::int_ made(PyDict_Size(numbers));
    if (PyDict_SetItem(numbers, moves.ptr(), made.ptr())) nb::raise_python_error();
    return integer(made);
}

// The number of everything in View._facts.
int32_t number_of_facts(View& view) {
    static WordTable table;
    const Allocation& allocation = view.allocation();
    int64_t words[2 * max_rank + 6];
    std::vector<int64_t> many;
    int64_t* at = words;
    if (view.rank > max_rank) {
        many.resize(2 * static_cast<size_t>(view.rank) + 6);
        at = many.data();
    }
    const int64_t* first = at;
    *at++ = view.rank;
    at = std::copy(view.dims, view.dims + 2 * view.rank, at);
    *at++ = view.dtype->id << 2 | (allocation.manual ? 2 : 0) | (view.storage->wide ? 1 : 0);
    *at++ = word(allocation.buffer);
    *at++ = moves_of(view);
    if (allocation.on_chip) {
        int64_t pitch = allocation.partition_bytes / view.dtype->itemsize;
        int64_t byte = pitch ? view.offset % pitch * view.dtype->itemsize : 0;
        *at++ = address_part(allocation, 0) + (pitch ? view.offset / pitch : 0);
        *at++ = allocation.psum ? address_part(allocation, 1) + byte : byte % 64;
    }
    return table.number(first, static_cast<size_t>(at - first));
}

// ---------------------------------------------------------------- the Python type
PyObject* new_view(PyTypeObject* type, PyObject*, PyObject*) {
    PyObject* made = PyType_GenericAlloc(type, 0);
    if (made) view_of(made).key = View::unknown;
    return made;
}

void free_view(PyObject* self) {
    View& view = view_of(self);
    if (view.weak_references) PyObject_ClearWeakRefs(self);
    Py_XDECREF(reinterpret_cast<PyObject*>(view.storage));
    Py_XDECREF(view.dynamic);
    drop_dims(view);
    free_object(self);
}

PyObject* subscript(PyObject* self, PyObject* key) {
    static PyObject* const fallback = PyUnicode_InternFromString("_subscript");
    return guarded([&] {
        PyObject* quick = quick_subscript(view_of(self), key);
        return quick ? quick : PyObject_CallMethodObjArgs(self, fallback, key, nullptr);
    });
}

PyObject* fill_method(PyObject* self, PyObject* const* args, Py_ssize_t count) {
    if (count != 6) return PyErr_Format(PyExc_TypeError, "_fill takes 6 arguments, got %zd", count);
    return guarded([&] {
        fill(view_of(self), args);
        return owned(Py_None);
    });
}

PyObject* fill_whole_method(PyObject* self, PyObject* storage) {
    return guarded([&] {
        fill_whole(view_of(self), storage);
        return owned(Py_None);
    });
}

PyObject* derive_method(PyObject* self, PyObject* const* args, Py_ssize_t count) {
    if (count != 3) return PyErr_Format(PyExc_TypeError, "_derive takes 3 arguments, got %zd", count);
    return guarded([&] {
        nb::object shape = tuple_from(args[0]), strides = tuple_from(args[1]);
        View* made = derived(view_of(self), static_cast<int32_t>(PyTuple_Size(shape.ptr())), integer(args[2]));
        nb::object held = nb::steal(reinterpret_cast<PyObject*>(made));
        set_dims(*made, shape.ptr(), strides.ptr());
        return held.release().ptr();
    });
}

PyObject* tuple_of(const int64_t* numbers, int32_t count) {
    PyObject* made = PyTuple_New(count);
    for (int32_t n = 0; made && n < count; n++) PyTuple_SetItem(made, n, PyLong_FromLongLong(numbers[n]));
    return made;
}

template <PyObject* (*get)(View&)> PyObject* getter(PyObject* self, void*) {
    View& view = view_of(self);
    if (!view.storage) return PyErr_Format(PyExc_AttributeError, "the view has not been made yet");
    return guarded([&] { return get(view); });
}

PyObject* get_storage(View& view) { return owned(reinterpret_cast<PyObject*>(view.storage)); }
PyObject* get_block(View& view) { return owned(view.storage->block); }
PyObject* get_buffer(View& view) { return owned(view.allocation().buffer); }
PyObject* get_dtype(View& view) { return owned(view.dtype->name); }
PyObject* get_dynamic(View& view) { return owned(view.dynamic ? view.dynamic : Py_None); }
PyObject* get_shape(View& view) { return tuple_of(view.shape(), view.rank); }
PyObject* get_strides(View& view) { return tuple_of(view.strides(), view.rank); }
PyObject* get_offset(View& view) { return PyLong_FromLongLong(view.offset); }
PyObject* get_key(View& view) { return PyLong_FromLong(key_of(view)); }

PyGetSetDef properties[] = {
    {"storage", getter<get_storage>, nullptr, "What it is a view of.", nullptr},
    {"block", getter<get_block>, nullptr, "The storage's data; None where shapes alone are recorded.", nullptr},
    {"buffer", getter<get_buffer>, nullptr, "The memory.", nullptr},
    {"dtype", getter<get_dtype>, nullptr, "Name of the data type.", nullptr},
    {"dynamic", getter<get_dynamic>, nullptr, "The run-time part of the address, or None.", nullptr},
    {"shape", getter<get_shape>, nullptr, "Sizes of the dimensions.", nullptr},
    {"strides", getter<get_strides>, nullptr, "Elements from one index to the next, for each dimension.", nullptr},
    {"offset", getter<get_offset>, nullptr, "The first element, counted from the start of the storage.", nullptr},
    {"key", getter<get_key>, nullptr,
     "A small number, equal for views that every rule, cost and native plan treats alike.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef methods[] = {
    {"_fill", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(fill_method)), METH_FASTCALL, nullptr},
    {"_fill_whole", fill_whole_method, METH_O, nullptr},
    {"_derive", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(derive_method)), METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(View, weak_references), Py_READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("The native layout of opentrn.program.view.View.")},
    {Py_tp_new, reinterpret_cast<void*>(new_view)},
    {Py_tp_dealloc, reinterpret_cast<void*>(free_view)},
    {Py_mp_subscript, reinterpret_cast<void*>(subscript)},
    {Py_tp_getset, properties},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, nullptr},
};

PyType_Spec spec{"opentrn._native.View", sizeof(View), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

View* as_view(PyObject* object) {
    if (!PyObject_TypeCheck(object, view_type) || !view_of(object).storage) return nullptr;
    return &view_of(object);
}

int32_t key_of(View& view) {
    if (view.key == View::unknown) view.key = number_of_facts(view);
    return view.key;
}

void bind_view(nb::module_& m) {
    view_type = new_type(m, "View", spec);
}

}  // namespace opentrn
