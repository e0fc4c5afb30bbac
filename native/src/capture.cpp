#include "capture.hpp"

#include <nanobind/ndarray.h>

#include <cstring>

#include "python.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace opentrn {

namespace {

constexpr uint8_t reads = 1, writes = 2;  // program/trace.py: READS, WRITES

uint8_t access_of(PyObject* role) {
    const char* name = nb::borrow<nb::str>(role).c_str();
    return std::strcmp(name, "in") == 0 ? reads : std::strcmp(name, "out") == 0 ? writes : reads | writes;
}

// A numpy array that owns the numbers.
template <class T> nb::object array_of(std::vector<T> numbers) {
    auto held = new std::vector<T>(std::move(numbers));
    nb::capsule owner(held, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(held->data(), {held->size()}, owner));
}

nb::tuple tuple_of(const int64_t* numbers, int64_t count) {
    nb::list made;
    for (int64_t n = 0; n < count; n++) made.append(numbers[n]);
    return nb::tuple(made);
}

}  // namespace

Capture::Capture(nb::list allocations, bool columns) : allocations_(std::move(allocations)), keep_(columns) {
    static int64_t launches = 0;
    launch_ = ++launches;
}

int32_t Capture::step_number(PyObject* step) {
    int64_t key = word(step);
    int32_t number = step_numbers_.number(&key, 1);
    if (static_cast<size_t>(number) == steps_.size()) {
        Use made{nb::borrow(step), 0, {}};
        nb::object roles = attribute(step, "roles");
        for (nb::handle role : roles) made.access.push_back(access_of(role.ptr()));
        steps_.push_back(std::move(made));
    }
    return number;
}

int32_t Capture::place_number(PyObject* place) {
    Seen& seen = seen_places_[static_cast<size_t>(word(place) >> 4) % seen_places_.size()];
    if (seen.place.ptr() == place) return seen.number;
    int64_t key[] = {word(item(place, 0)), integer(item(place, 1))};
    int32_t number = place_numbers_.number(key, 2);
    if (static_cast<size_t>(number) == places_.size()) places_.push_back(nb::borrow(place));
    seen = {nb::borrow(place), number};
    return number;
}

int32_t Capture::geometry_number(View& view) {
    auto key = static_cast<size_t>(key_of(view));
    if (key >= geometry_of_key_.size()) geometry_of_key_.resize(key + 1, -1);
    int32_t& known = geometry_of_key_[key];
    if (known < 0) {
        std::vector<int64_t> words(view.dims, view.dims + 2 * view.rank);
        words.push_back(view.dtype->itemsize << 1 | static_cast<int64_t>(view.dynamic != nullptr));
        known = geometry_numbers_.number(words.data(), words.size());
    }
    return known;
}

int32_t Capture::region_number(View& view) {
    int64_t key[] = {view.allocation().id << 32 | geometry_number(view), view.offset};
    return region_numbers_.number(key, 2);
}

// Notes the use of a tensor; at its first use here, that it is one of this core in this launch.
void Capture::touch(PyObject* record, Allocation& tensor, uint8_t access) {
    auto object = reinterpret_cast<PyObject*>(&tensor);
    if (tensor.launch != launch_) {
        auto id = static_cast<Py_ssize_t>(tensor.id);
        bool mine = id >= 0 && id < PyList_Size(allocations_.ptr()) && PyList_GetItem(allocations_.ptr(), id) == object;
        if (!mine) {
            nb::module_::import_("opentrn.program.capture").attr("foreign")(nb::handle(record), nb::handle(object));
        }
        tensor.launch = launch_;
        tensor.first = total_;
    }
    tensor.last = total_;
    tensor.written |= (access & writes) != 0;
}

void Capture::operand(PyObject* record, PyObject* object, uint8_t access) {
    View* view = as_view(object);
    if (!view) throw nb::type_error("an operand is no View");
    touch(record, view->allocation(), access);
    if (keep_) {
        region_.push_back(region_number(*view));
        access_.push_back(access);
    }
    if (view->dynamic) {
        static PyObject* const index_name = PyUnicode_InternFromString("index");
        nb::object index = attribute(view->dynamic, index_name);
        if (as_view(index.ptr())) operand(record, index.ptr(), reads);
    }
}

void Capture::record(PyObject* record) {
    int32_t number = step_number(item(record, 0));
    steps_[static_cast<size_t>(number)].count++;
    PyObject* operands = item(record, 1);
    const size_t count = steps_[static_cast<size_t>(number)].access.size();
    if (static_cast<size_t>(PyTuple_Size(operands)) != count) {
        throw nb::value_error("operands and roles differ in number");
    }
    for (size_t k = 0; k < count; k++) {
        operand(record, item(operands, static_cast<Py_ssize_t>(k)), steps_[static_cast<size_t>(number)].access[k]);
    }
    if (keep_) {
        step_.push_back(number);
        place_.push_back(place_number(item(record, 2)));
        first_operand_.push_back(static_cast<int64_t>(region_.size()));
    }
    total_++;
}

void Capture::append(nb::list batch) {
    if (given_.is_valid()) throw nb::value_error("the columns have been given away");
    for (size_t n = 0; n < batch.size(); n++) record(PyList_GetItem(batch.ptr(), static_cast<Py_ssize_t>(n)));
}

nb::dict Capture::counts() const {
    nb::dict found;
    for (const Use& use : steps_) found[use.step] = use.count;
    return found;
}

nb::dict Capture::columns() {
    if (given_.is_valid()) return nb::borrow<nb::dict>(given_);
    nb::object geometry = nb::module_::import_("opentrn.program.trace").attr("Geometry");
    nb::list steps, places, geometries;
    for (const Use& use : steps_) steps.append(use.step);
    for (const nb::object& place : places_) places.append(place);
    for (int32_t n = 0; n < geometry_numbers_.size(); n++) {
        const int64_t* words = geometry_numbers_.words(n);
        auto rank = static_cast<int64_t>(geometry_numbers_.count(n) / 2);
        int64_t form = words[2 * rank];
        geometries.append(geometry(tuple_of(words, rank), tuple_of(words + rank, rank), form >> 1, (form & 1) != 0));
    }
    std::vector<int32_t> allocation, form;
    std::vector<int64_t> offset;
    for (int32_t n = 0; n < region_numbers_.size(); n++) {
        const int64_t* words = region_numbers_.words(n);
        allocation.push_back(static_cast<int32_t>(words[0] >> 32));
        form.push_back(static_cast<int32_t>(words[0] & 0xFFFFFFFF));
        offset.push_back(words[1]);
    }
    nb::dict found;
    found["steps"] = steps;
    found["places"] = places;
    found["geometries"] = geometries;
    found["step"] = array_of(std::move(step_));
    found["place"] = array_of(std::move(place_));
    found["first_operand"] = array_of(std::move(first_operand_));
    found["region"] = array_of(std::move(region_));
    found["access"] = array_of(std::move(access_));
    found["region_allocation"] = array_of(std::move(allocation));
    found["region_offset"] = array_of(std::move(offset));
    found["region_geometry"] = array_of(std::move(form));
    given_ = found;
    return found;
}

void bind_capture(nb::module_& m) {
    nb::class_<Capture>(m, "Capture", "What the records of one core tell (see opentrn.program.capture).")
        .def(nb::init<nb::list, bool>(), "allocations"_a, "columns"_a)
        .def("append", &Capture::append, "batch"_a, "Takes the next records, a list of (step, operands, place).")
        .def("counts", &Capture::counts, "How often each step ran.")
        .def("columns", &Capture::columns, 
             "The fields of a Trace except `allocations` and `edges`. Nothing can be appended afterwards.");
}

}  // namespace opentrn
