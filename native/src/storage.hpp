// Allocation and Storage: the layouts of opentrn.program.storage's classes, as base classes for them.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>

namespace opentrn {

struct Allocation {
    PyObject_HEAD
    PyObject *name, *shape, *dtype, *buffer, *where, *address;
    long long id, core, first, last, partitions, partition_bytes;
    char manual, written;
    bool on_chip, psum;
    int64_t launch;  // the Capture that has checked whose tensor it is

    bool placed() const { return address != Py_None; }
};

struct TensorStorage {
    PyObject_HEAD
    PyObject *allocation_object, *block, *source, *weak_references;
    char wide;

    Allocation& allocation() const { return *reinterpret_cast<Allocation*>(allocation_object); }
};

// The object as that; Python's TypeError when it is none.
Allocation& as_allocation(PyObject* object);
TensorStorage& as_storage(PyObject* object);

// Partition (0) or byte (1) of the address; 0 while there is none.
int64_t address_part(const Allocation& allocation, int part);

void bind_storage(nanobind::module_& m);

}  // namespace opentrn
