#include "recorder.hpp"

#include <cstddef>
#include <cstring>

#include "layout.hpp"
#include "python.hpp"
#include "view.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace opentrn {

namespace {

// ---------------------------------------------------------------- handles
struct Handle {
    PyObject_HEAD
    PyObject* recorder;
    long long index;
};

PyObject* new_handle(PyTypeObject* type, PyObject* recorder, int64_t index) {
    PyObject* made = PyType_GenericAlloc(type, 0);
    if (!made) nb::raise_python_error();
    auto& handle = *reinterpret_cast<Handle*>(made);
    handle.recorder = owned(recorder);
    handle.index = index;
    return made;
}

PyObject* make_handle(PyTypeObject* type, PyObject* args, PyObject*) {
    PyObject* recorder = nullptr;
    long long index = 0;
    if (!PyArg_ParseTuple(args, "OL", &recorder, &index)) return nullptr;
    return new_handle(type, recorder, index);
}

void free_handle(PyObject* self) {
    Py_XDECREF(reinterpret_cast<Handle*>(self)->recorder);
    free_object(self);
}

PyMemberDef handle_members[] = {
    {"recorder", Py_T_OBJECT_EX, offsetof(Handle, recorder), Py_READONLY, nullptr},
    {"index", Py_T_LONGLONG, offsetof(Handle, index), Py_READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot handle_slots[] = {
    {Py_tp_doc, const_cast<char*>("The native layout of opentrn.program.recorder.NkiInstruction.")},
    {Py_tp_new, reinterpret_cast<void*>(make_handle)},
    {Py_tp_dealloc, reinterpret_cast<void*>(free_handle)},
    {Py_tp_members, handle_members},
    {0, nullptr},
};

PyType_Spec handle_spec{"opentrn._native.Handle", sizeof(Handle), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                        handle_slots};

// ---------------------------------------------------------------- words of a call
enum Tag : int64_t { tag_view = 1, tag_named, tag_text, tag_sequence, tag_integer, tag_number };

// The words of a call's arguments: the same for two calls that mean the same. Most arguments take one word, which
// ends in its tag; addresses end in zeros, so that there is room for it.
class Encoder {
public:
    std::vector<int64_t> words;

    void start(int64_t first) {
        words.clear();
        words.push_back(first);
    }

    // False: only Python can tell what the value means (a register, a numpy scalar, an array, ...).
    bool add(PyObject* value) {
        if (View* view = as_view(value)) return push(tag_view, key_of(*view));
        if (value == Py_None || value == Py_True || value == Py_False) return name(value);
        if (PyLong_CheckExact(value)) return add_integer(value);
        if (PyFloat_CheckExact(value)) return add_number(PyFloat_AsDouble(value));
        if (PyUnicode_CheckExact(value)) return push(tag_text, text_number(value));
        if (PyTuple_CheckExact(value) || PyList_CheckExact(value)) return add_sequence(value);
        return (is_enum_member(value) || PyCallable_Check(value)) && name(value);
    }

    // What `add` named by address, and a table of words therefore has to keep alive.
    static void keep(PyObject* value, std::vector<nb::object>& named) {
        if (PyTuple_CheckExact(value) || PyList_CheckExact(value)) {
            for (nb::handle part : nb::handle(value)) keep(part.ptr(), named);
        } else if (!as_view(value)) {
            named.push_back(nb::borrow(value));
        }
    }

private:
    bool push(int64_t tag, int64_t value) {
        words.push_back(value << 3 | tag);
        return true;
    }

    bool name(PyObject* value) {
        words.push_back(word(value) | tag_named);
        return true;
    }

    bool add_integer(PyObject* value) {
        int overflow = 0;
        int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
        words.push_back(tag_integer);
        words.push_back(number);
        return !overflow;
    }

    bool add_number(double value) {
        int64_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        words.push_back(tag_number);
        words.push_back(bits);
        return true;
    }

    bool add_sequence(PyObject* sequence) {
        bool tuple = PyTuple_CheckExact(sequence);
        Py_ssize_t count = tuple ? PyTuple_Size(sequence) : PyList_Size(sequence);
        push(tag_sequence, static_cast<int64_t>(count));
        for (Py_ssize_t n = 0; n < count; n++) {
            if (!add(tuple ? item(sequence, n) : PyList_GetItem(sequence, n))) return false;
        }
        return true;
    }

    static int64_t text_number(PyObject* text) {
        static PyObject* const numbers = PyDict_New();
        if (PyObject* known = PyDict_GetItemWithError(numbers, text)) return integer(known);
        nb::int_ made(PyDict_Size(numbers));
        if (PyDict_SetItem(numbers, text, made.ptr())) nb::raise_python_error();
        return integer(made);
    }

    static bool is_enum_member(PyObject* value) {
        static PyObject* const enum_type = nb::module_::import_("enum").attr("EnumMeta").inc_ref().ptr();
        PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(value));
        return reinterpret_cast<PyObject*>(Py_TYPE(type)) == enum_type;
    }
};

// ---------------------------------------------------------------- one instruction
// The function that records one instruction: ``record(frame, *arguments)``.
struct Call {
    nb::object python;   // does the same, slower, for every call
    nb::object resolve;  // the checked step of a call's arguments
    nb::object active;   // has the recorder of the running core
    nb::object handle;   // the class of what is given back
    std::vector<int> operands;  // which arguments are tensors, numbers or lists of tensors
    int64_t flush_records;
    Encoder encoder;

    nb::object step_of(Steps& steps, PyObject* const* arguments, Py_ssize_t count);
    nb::object views(PyObject* const* arguments) const;
};

// Null when the call has no words. `resolve` may record other calls of the instruction, hence the copy.
nb::object Call::step_of(Steps& steps, PyObject* const* arguments, Py_ssize_t count) {
    encoder.start(word(this));
    for (Py_ssize_t n = 0; n < count; n++) {
        if (!encoder.add(arguments[n])) return {};
    }
    if (PyObject* known = steps.find(encoder.words)) return nb::borrow(known);
    std::vector<int64_t> words = encoder.words;
    nb::object made = nb::steal(PyObject_Vectorcall(resolve.ptr(), arguments, static_cast<size_t>(count), nullptr));
    if (!made.is_valid()) nb::raise_python_error();
    std::vector<nb::object> named;
    for (Py_ssize_t n = 0; n < count; n++) Encoder::keep(arguments[n], named);
    steps.add(words, made, std::move(named));
    return made;
}

// The views among the operands, lists flattened, in the order of the step's names.
nb::object Call::views(PyObject* const* arguments) const {
    PyObject* few[8];
    size_t count = 0;
    std::vector<PyObject*> many;
    auto take = [&](PyObject* value) {
        if (!as_view(value)) return;
        if (count < 8) {
            few[count++] = value;
        } else {
            many.push_back(value);
        }
    };
    for (int n : operands) {
        PyObject* value = arguments[n];
        if (PyTuple_CheckExact(value) || PyList_CheckExact(value)) {
            for (nb::handle part : nb::handle(value)) take(part.ptr());
        } else {
            take(value);
        }
    }
    nb::object made = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(count + many.size())));
    auto set = [&](size_t n, PyObject* value) {
        PyTuple_SetItem(made.ptr(), static_cast<Py_ssize_t>(n), owned(value));
    };
    for (size_t n = 0; n < count; n++) set(n, few[n]);
    for (size_t n = 0; n < many.size(); n++) set(count + n, many[n]);
    return made;
}

Pending* pending_of(PyObject* recorder) {
    return nb::isinstance<Pending>(nb::handle(recorder)) ? nb::inst_ptr<Pending>(nb::handle(recorder)) : nullptr;
}

PyObject* record(Call& call, PyObject* const* args, Py_ssize_t count) {
    static PyObject* const recorder_name = PyUnicode_InternFromString("recorder");
    static PyObject* const flush_name = PyUnicode_InternFromString("flush");
    nb::object recorder = attribute(call.active.ptr(), recorder_name), step;
    Pending* core = pending_of(recorder.ptr());
    if (core && !core->table.is_none()) {
        step = call.step_of(*nb::inst_ptr<Steps>(core->table), args + 1, count - 1);
    }
    if (!step.is_valid()) return PyObject_Vectorcall(call.python.ptr(), args, static_cast<size_t>(count), nullptr);
    nb::object made = nb::steal(PyTuple_New(3));
    PyTuple_SetItem(made.ptr(), 0, step.release().ptr());
    PyTuple_SetItem(made.ptr(), 1, call.views(args + 1).release().ptr());
    PyTuple_SetItem(made.ptr(), 2, core->place_of(nb::borrow(args[0])).release().ptr());
    int64_t index = core->base + static_cast<int64_t>(core->pending.size());
    core->pending.append(made);
    made.reset();
    if (static_cast<int64_t>(core->pending.size()) >= call.flush_records) {
        nb::object done = nb::steal(PyObject_CallMethodObjArgs(recorder.ptr(), flush_name, nullptr));
        if (!done.is_valid()) nb::raise_python_error();
    }
    return new_handle(reinterpret_cast<PyTypeObject*>(call.handle.ptr()), recorder.ptr(), index);
}

PyObject* call_record(PyObject* self, PyObject* const* args, Py_ssize_t count) {
    return guarded([&] { return record(*nb::inst_ptr<Call>(nb::handle(self)), args, count); });
}

PyMethodDef record_method{"record", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(call_record)), METH_FASTCALL,
                          "Records one call: record(frame, *arguments)."};

}  // namespace

// ---------------------------------------------------------------- steps
PyObject* Steps::find(const std::vector<int64_t>& words) const {
    int32_t number = numbers_.find(words.data(), words.size());
    return number < 0 ? nullptr : steps_[static_cast<size_t>(number)].ptr();
}

void Steps::add(const std::vector<int64_t>& words, nb::object step, std::vector<nb::object> named) {
    if (static_cast<size_t>(numbers_.number(words.data(), words.size())) != steps_.size()) return;
    steps_.push_back(std::move(step));
    named_.insert(named_.end(), named.begin(), named.end());
}

// ---------------------------------------------------------------- places
Pending::Pending(nb::object given) : table(std::move(given)) {}

// (code, line) of the innermost frame that is not opentrn's, or of `frame` itself where all are.
nb::object Pending::place_of(nb::object frame) {
    static PyObject* const back_name = PyUnicode_InternFromString("f_back");
    nb::object at = frame;
    for (;;) {
        auto raw = reinterpret_cast<PyFrameObject*>(at.ptr());
        nb::object code = nb::steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(raw)));
#ifdef Py_LIMITED_API
        static PyObject* const last_name = PyUnicode_InternFromString("f_lasti");
        int64_t last = integer(attribute(at.ptr(), last_name));
#else
        int64_t last = PyFrame_GetLasti(raw);
#endif
        int64_t key[] = {word(code.ptr()), last};
        auto number = static_cast<size_t>(place_numbers.number(key, 2));
        if (number == places.size()) {
            static PyObject* const is_own =
                nb::module_::import_("opentrn.program.site").attr("is_own").inc_ref().ptr();
            bool own = nb::cast<bool>(nb::handle(is_own)(attribute(code.ptr(), "co_filename")));
            places.push_back(own ? nb::none() : nb::object(nb::make_tuple(code, PyFrame_GetLineNumber(raw))));
            codes.push_back(code);
        }
        if (!places[number].is_none()) return places[number];
        at = attribute(at.ptr(), back_name);
        if (at.is_none()) return nb::make_tuple(attribute(frame.ptr(), "f_code"), attribute(frame.ptr(), "f_lineno"));
    }
}

void bind_recorder(nb::module_& m) {
    new_type(m, "Handle", handle_spec);
    nb::class_<Steps>(m, "Steps", "Checked signatures, by the words of a call.").def(nb::init<>());
    nb::class_<Pending>(m, "Pending", "What one core has recorded and not yet executed.")
        .def(nb::init<nb::object>(), "table"_a.none())
        .def_ro("table", &Pending::table, "The Steps, or None.")
        .def_ro("pending", &Pending::pending, "The records.")
        .def("place", &Pending::place_of, "frame"_a, "(code, line) of the user's frame, from `frame` outwards.")
        .def_rw("base", &Pending::base, "Records before those that are pending.");
    nb::class_<Call>(m, "Call", "Records one instruction.")
        .def(
            "__init__",
            [](Call* self, nb::object python, nb::object resolve, nb::object active, nb::object handle,
               nb::list operands, int64_t flush_records) {
                std::vector<int> places;
                for (nb::handle place : operands) places.push_back(nb::cast<int>(place));
                new (self) Call{python, resolve, active, handle, places, flush_records, {}};
            },
            "python"_a, "resolve"_a, "active"_a, "handle"_a, "operands"_a, "flush_records"_a)
        .def_prop_ro(
            "record", [](nb::handle self) { return nb::steal(PyCFunction_NewEx(&record_method, self.ptr(), nullptr)); },
            "The function record(frame, *arguments).");
}

}  // namespace opentrn
