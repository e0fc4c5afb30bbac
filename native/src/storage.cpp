#include "storage.hpp"

#include <nanobind/ndarray.h>

#include <vector>

#include <cstddef>
#include <vector>

#include "layout.hpp"
#include "python.hpp"

namespace nb = nanobind;

namespace opentrn {

namespace {

PyTypeObject *allocation_type = nullptr, *storage_type = nullptr;

struct Region {
    PyObject* member;
    bool on_chip, psum;
};

const Region& region_of(PyObject* member) {
    static std::vector<Region> known;
    for (const Region& region : known) {
        if (region.member == member) return region;
    }
    bool psum = attribute(member, "value").equal(nb::str("psum"));
    known.push_back({owned(member), truth(attribute(member, "on_chip")), psum});
    return known.back();
}

// Sets what follows from shape, dtype and memory: on chip the first dimension is the partition.
void measure(Allocation& made) {
    const Region& region = region_of(made.buffer);
    made.on_chip = region.on_chip;
    made.psum = region.psum;
    made.partitions = 1;
    made.partition_bytes = integer(attribute(made.dtype, "itemsize"));
    Py_ssize_t rank = PyTuple_Size(made.shape);
    if (rank < 0) nb::raise_python_error();
    for (Py_ssize_t d = 0; d < rank; d++) {
        (d == 0 && made.on_chip ? made.partitions : made.partition_bytes) *= integer(item(made.shape, d));
    }
}

PyObject* make_allocation(PyTypeObject* type, PyObject* args, PyObject* keywords) {
    static const char* names[] = {"id",      "name",   "shape", "dtype", "buffer",  "core", "site",
                                  "address", "manual", "first", "last",  "written", nullptr};
    long long id, core, first = -1, last = -1;
    int manual = 0, written = 0;
    PyObject *name, *shape, *dtype, *buffer, *site, *address = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "LOO!OOLO|OpLLp", const_cast<char**>(names), &id, &name,
                                     &PyTuple_Type, &shape, &dtype, &buffer, &core, &site, &address, &manual, &first,
                                     &last, &written)) {
        return nullptr;
    }
    return guarded([&] {
        nb::object held = nb::steal(PyType_GenericAlloc(type, 0));
        if (!held.is_valid()) nb::raise_python_error();
        auto& made = *reinterpret_cast<Allocation*>(held.ptr());
        made.name = owned(name), made.shape = owned(shape), made.dtype = owned(dtype), made.buffer = owned(buffer);
        made.where = owned(site), made.address = owned(address);
        made.id = id, made.core = core, made.first = first, made.last = last;
        made.manual = manual != 0, made.written = written != 0;
        measure(made);
        return held.release().ptr();
    });
}

void free_allocation(PyObject* self) {
    auto& dead = *reinterpret_cast<Allocation*>(self);
    for (PyObject* part : {dead.name, dead.shape, dead.dtype, dead.buffer, dead.where, dead.address}) Py_XDECREF(part);
    free_object(self);
}

PyMemberDef allocation_members[] = {
    {"id", Py_T_LONGLONG, offsetof(Allocation, id), Py_READONLY, nullptr},
    {"name", Py_T_OBJECT_EX, offsetof(Allocation, name), 0, nullptr},
    {"shape", Py_T_OBJECT_EX, offsetof(Allocation, shape), Py_READONLY, nullptr},
    {"dtype", Py_T_OBJECT_EX, offsetof(Allocation, dtype), Py_READONLY, nullptr},
    {"buffer", Py_T_OBJECT_EX, offsetof(Allocation, buffer), Py_READONLY, nullptr},
    {"core", Py_T_LONGLONG, offsetof(Allocation, core), Py_READONLY, nullptr},
    {"_where", Py_T_OBJECT_EX, offsetof(Allocation, where), Py_READONLY, nullptr},
    {"address", Py_T_OBJECT_EX, offsetof(Allocation, address), 0, nullptr},
    {"manual", Py_T_BOOL, offsetof(Allocation, manual), Py_READONLY, nullptr},
    {"first", Py_T_LONGLONG, offsetof(Allocation, first), 0, nullptr},
    {"last", Py_T_LONGLONG, offsetof(Allocation, last), 0, nullptr},
    {"written", Py_T_BOOL, offsetof(Allocation, written), 0, nullptr},
    {"partitions", Py_T_LONGLONG, offsetof(Allocation, partitions), Py_READONLY, nullptr},
    {"partition_bytes", Py_T_LONGLONG, offsetof(Allocation, partition_bytes), Py_READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot allocation_slots[] = {
    {Py_tp_doc, const_cast<char*>("The native layout of opentrn.program.storage.Allocation.")},
    {Py_tp_new, reinterpret_cast<void*>(make_allocation)},
    {Py_tp_dealloc, reinterpret_cast<void*>(free_allocation)},
    {Py_tp_members, allocation_members},
    {0, nullptr},
};

PyType_Spec allocation_spec{"opentrn._native.Allocation", sizeof(Allocation), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, allocation_slots};

PyObject* make_storage(PyTypeObject* type, PyObject* args, PyObject* keywords) {
    static const char* names[] = {"allocation", "block", "wide", "source", nullptr};
    PyObject *allocation, *block, *source = Py_None;
    int wide = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!O|pO", const_cast<char**>(names), allocation_type, &allocation,
                                     &block, &wide, &source)) {
        return nullptr;
    }
    PyObject* object = PyType_GenericAlloc(type, 0);
    if (!object) return nullptr;
    auto& made = *reinterpret_cast<TensorStorage*>(object);
    made.allocation_object = owned(allocation);
    made.block = owned(block);
    made.source = owned(source);
    made.wide = wide != 0;
    return object;
}

void free_storage(PyObject* self) {
    auto& dead = *reinterpret_cast<TensorStorage*>(self);
    if (dead.weak_references) PyObject_ClearWeakRefs(self);
    for (PyObject* part : {dead.allocation_object, dead.block, dead.source}) Py_XDECREF(part);
    free_object(self);
}

PyMemberDef storage_members[] = {
    {"allocation", Py_T_OBJECT_EX, offsetof(TensorStorage, allocation_object), Py_READONLY, nullptr},
    {"block", Py_T_OBJECT_EX, offsetof(TensorStorage, block), Py_READONLY, nullptr},
    {"wide", Py_T_BOOL, offsetof(TensorStorage, wide), Py_READONLY, nullptr},
    {"source", Py_T_OBJECT_EX, offsetof(TensorStorage, source), 0, nullptr},
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(TensorStorage, weak_references), Py_READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot storage_slots[] = {
    {Py_tp_doc, const_cast<char*>("The native layout of opentrn.program.storage.Storage.")},
    {Py_tp_new, reinterpret_cast<void*>(make_storage)},
    {Py_tp_dealloc, reinterpret_cast<void*>(free_storage)},
    {Py_tp_members, storage_members},
    {0, nullptr},
};

PyType_Spec storage_spec{"opentrn._native.Storage", sizeof(TensorStorage), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                         storage_slots};

}  // namespace

Allocation& as_allocation(PyObject* object) {
    if (!PyObject_TypeCheck(object, allocation_type)) throw nb::type_error("not an Allocation");
    return *reinterpret_cast<Allocation*>(object);
}

TensorStorage& as_storage(PyObject* object) {
    if (!PyObject_TypeCheck(object, storage_type)) throw nb::type_error("not a Storage");
    return *reinterpret_cast<TensorStorage*>(object);
}

int64_t address_part(const Allocation& allocation, int part) {
    return allocation.placed() ? integer(item(allocation.address, part)) : 0;
}

namespace {

// The numbers of each allocation, in the order of FACTS in opentrn.program.storage.
nb::object facts_of(nb::list allocations) {
    constexpr size_t columns = 8;
    auto* table = new std::vector<int64_t>();
    nb::capsule owner(table, [](void* p) noexcept { delete static_cast<std::vector<int64_t>*>(p); });
    table->reserve(columns * allocations.size());
    for (nb::handle each : allocations) {
        const Allocation& a = as_allocation(each.ptr());
        for (int64_t fact : {int64_t(a.on_chip), int64_t(a.psum), address_part(a, 0), address_part(a, 1),
                             int64_t(a.partition_bytes), int64_t(a.partitions), int64_t(a.first), int64_t(a.last)})
            table->push_back(fact);
    }
    return nb::cast(nb::ndarray<nb::numpy, int64_t, nb::ndim<1>>(table->data(), {table->size()}, owner));
}

}  // namespace

void bind_storage(nb::module_& m) {
    m.def("facts_of", &facts_of, nb::arg("allocations"), "The numbers of many allocations, row by row.");
    allocation_type = new_type(m, "Allocation", allocation_spec);
    storage_type = new_type(m, "Storage", storage_spec);
}

}  // namespace opentrn
