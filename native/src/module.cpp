// opentrn._native: Block, Plan, plan(), run() for src/opentrn/execute; View and Capture for src/opentrn/program.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <string>

#include "allocate.hpp"
#include "block.hpp"
#include "capture.hpp"
#include "compile.hpp"
#include "python.hpp"
#include "recorder.hpp"
#include "run.hpp"
#include "storage.hpp"
#include "view.hpp"

namespace opentrn::timing {
void bind(nanobind::module_& m);
}
namespace opentrn::profile {
void bind(nanobind::module_& m);
}
namespace opentrn::bridges {
void bind(nanobind::module_& m);
}

namespace nb = nanobind;
using namespace nb::literals;
using namespace opentrn;

namespace {

using Bytes = nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>>;

// A numpy view of storage that outlives the Block.
Bytes view_of(const std::shared_ptr<Storage>& storage, int64_t count) {
    nb::capsule owner(new std::shared_ptr<Storage>(storage),
                      [](void* p) noexcept { delete static_cast<std::shared_ptr<Storage>*>(p); });
    return Bytes(storage->data, {static_cast<size_t>(count)}, owner);
}

Bytes array_of(Block& block) {
    block.need_bytes();
    return view_of(block.bytes, block.nbytes);
}

Bytes shadow_of(Block& block) {
    block.need_shadow();
    block.forget_count();
    return view_of(block.shadow, block.units());
}

Block wrap(nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> array, int64_t unit) {
    auto storage = std::make_shared<Storage>();
    storage->data = array.data();
    storage->owner = new nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>(array);
    storage->free = [](Storage& self) { delete static_cast<decltype(array)*>(self.owner); };
    Block block(std::move(storage), static_cast<int64_t>(array.shape(0)), unit);
    block.set_state(State::written);
    return block;
}

template <class T> std::vector<T> numbers(nb::handle sequence) {
    std::vector<T> result;
    for (nb::handle item : sequence) result.push_back(nb::cast<T>(item));
    return result;
}

const Kernels& kernels_of(std::optional<std::string> level) {
    for (const Kernels* usable : usable_kernels()) {
        if (!level || *level == usable->level) return *usable;
    }
    throw nb::value_error("this processor cannot run that level");
}

std::optional<Plan> plan(nb::str opcode, nb::handle operands, nb::handle ints, nb::handle floats,
                         std::optional<std::string> level) {
    Signature signature{opcode.c_str(), {}, numbers<int64_t>(ints), numbers<double>(floats)};
    for (nb::handle operand : operands) {
        auto fields = nb::cast<nb::tuple>(operand);
        signature.operands.push_back({nb::cast<int>(fields[0]), numbers<int64_t>(fields[1]),
                                      numbers<int64_t>(fields[2]), nb::borrow<nb::str>(fields[3]).c_str()});
    }
    return compile(signature, kernels_of(level));
}

// The block and offset of an operand: a View, or anything that has these attributes.
bool locate(PyObject* operand, Location& location, nb::object& keep_alive) {
    static PyObject* const block_type = nb::type<Block>().ptr();
    if (View* view = as_view(operand)) {
        keep_alive = nb::borrow(view->storage->block);
        location.offset = view->offset;
    } else {
        keep_alive = attribute(operand, "block");
        location.offset = integer(attribute(operand, "offset"));
    }
    if (reinterpret_cast<PyObject*>(Py_TYPE(keep_alive.ptr())) != block_type) return false;
    location.block = nb::inst_ptr<Block>(keep_alive);
    return true;
}

// One entry (step, operands, line) of the batch. False: Python has to take it.
bool run_item(PyObject* record) {
    static PyObject* const native_name = PyUnicode_InternFromString("native");
    static PyObject* const plan_type = nb::type<Plan>().ptr();
    PyObject* operands = item(record, 1);
    nb::object native = attribute(item(record, 0), native_name);
    if (reinterpret_cast<PyObject*>(Py_TYPE(native.ptr())) != plan_type) return false;
    const Plan& plan = *nb::inst_ptr<Plan>(native);
    if (PyTuple_Size(operands) != plan.operand_count) {
        if (PyErr_Occurred()) nb::raise_python_error();
        return false;
    }
    Location locations[max_operands];
    nb::object keep_alive[max_operands];
    for (int k = 0; k < plan.operand_count; k++) {
        if (!locate(item(operands, k), locations[k], keep_alive[k])) return false;
    }
    return execute(plan, locations);
}

int64_t run(nb::list batch, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
        PyObject* item = PyList_GetItem(batch.ptr(), static_cast<Py_ssize_t>(i));
        if (!item) nb::raise_python_error();
        nb::object held = nb::borrow(item);
        if (!run_item(held.ptr())) return i;
    }
    return end;
}

}  // namespace

NB_MODULE(_native, m) {
    m.doc() = "The native executor of opentrn.";
    // instructions, their records and tables live as long as the process
    nb::set_leak_warnings(false);
    bind_storage(m);
    bind_view(m);
    bind_capture(m);
    bind_recorder(m);
    bind_allocate(m);
    nb::class_<Block>(m, "Block", "The bytes of one tensor and the shadow of what was written.")
        .def(nb::init<int64_t, int64_t>(), "nbytes"_a, "unit"_a)
        .def_static("wrap", &wrap, nb::arg("array").noconvert(), "unit"_a,
                    "A fully written Block over an existing writable numpy buffer.")
        .def_ro("nbytes", &Block::nbytes)
        .def_ro("unit", &Block::unit)
        .def_prop_ro("array", &array_of, nb::rv_policy::reference, "The bytes, as a uint8 numpy view.")
        .def_prop_ro("shadow", &shadow_of, nb::rv_policy::reference,
                     "One uint8 per unit: 0 never written, 1 written, 2 clobbered. Ask again after the Block was used.")
        .def_prop_rw(
            "state", [](const Block& self) { return static_cast<int>(self.state); },
            [](Block& self, int state) {
                if (state < 0 || state > 2) throw nb::value_error("state must be 0, 1 or 2");
                self.set_state(static_cast<State>(state));
            },
            "0 nothing written, 1 partly, 2 all written.")
        .def("refine", &Block::refine, "unit"_a, "Keeps the shadow at a smaller unit.")
        .def("discard", &Block::discard,
             "Gives back the memory, nothing is written then; numpy views already handed out keep it.");
    nb::class_<Plan>(m, "Plan", "A compiled instruction signature.").def_prop_ro("opcode", [](const Plan& self) {
        return self.instruction->name;
    });
    m.def("plan", &plan, "opcode"_a, "operands"_a, "ints"_a, "floats"_a, "level"_a = nb::none(),
          "A Plan, or None when Python has to compute it.");
    m.def("run", &run, "batch"_a, "begin"_a, "end"_a,
          "Executes batch[begin:end]; the index of the first not executed.");
    m.def(
        "cpu_level", [] { return usable_kernels().front()->level; },
        "The level plans use by default: v2, v3, v4 or base.");
    m.def(
        "cpu_levels",
        [] {
            nb::list levels;
            for (const Kernels* usable : usable_kernels()) levels.append(usable->level);
            return levels;
        },
        "The levels this processor can run, best first.");
    timing::bind(m);
    profile::bind(m);
    bridges::bind(m);
    m.def("version", [] { return OPENTRN_VERSION; }, "The version this module was built from.");
}
