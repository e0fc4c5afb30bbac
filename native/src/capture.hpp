// Capture: what the records of one core tell. Twin of opentrn.program.capture.Capture, which is its specification.
#pragma once
#include <nanobind/nanobind.h>

#include <array>
#include <cstdint>
#include <vector>

#include "view.hpp"
#include "words.hpp"

namespace opentrn {

class Capture {
public:
    Capture(nanobind::list allocations, bool columns);

    void append(nanobind::list batch);
    nanobind::dict counts() const;
    nanobind::dict columns();

private:
    struct Use {
        nanobind::object step;
        int64_t count = 0;
        std::vector<uint8_t> access;
    };
    struct Seen {
        nanobind::object place;
        int32_t number = -1;
    };

    nanobind::list allocations_;
    bool keep_;
    int64_t launch_;  // not the same for any two captures of the process
    int64_t total_ = 0;
    WordTable step_numbers_, place_numbers_, geometry_numbers_, region_numbers_;
    std::vector<Use> steps_;
    std::vector<nanobind::object> places_;
    std::array<Seen, 64> seen_places_;  // by address: most records of a line share one tuple
    std::vector<int32_t> geometry_of_key_;
    std::vector<int32_t> step_, place_, region_;
    std::vector<int64_t> first_operand_{0};
    std::vector<uint8_t> access_;
    nanobind::object given_;  // the columns, once asked for: numpy has the numbers then, without a copy

    int32_t step_number(PyObject* step);
    int32_t place_number(PyObject* place);
    int32_t geometry_number(View& view);
    int32_t region_number(View& view);
    void record(PyObject* record);
    void operand(PyObject* record, PyObject* object, uint8_t access);
    void touch(PyObject* record, Allocation& tensor, uint8_t access);
};

void bind_capture(nanobind::module_& m);

}  // namespace opentrn
