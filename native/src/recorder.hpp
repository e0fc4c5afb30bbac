// The quick path of a recorded call: from the operands of `nisa.<name>` to one more record, by the step that was
// checked for the same signature before. Twin of the `_record` that opentrn.program.recorder generates.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>
#include <vector>

#include "words.hpp"

namespace opentrn {

// Checked signatures: steps by the words of a call.
class Steps {
public:
    PyObject* find(const std::vector<int64_t>& words) const;
    void add(const std::vector<int64_t>& words, nanobind::object step, std::vector<nanobind::object> named);

private:
    WordTable numbers_;
    std::vector<nanobind::object> steps_;
    std::vector<nanobind::object> named_;  // keeps alive what the words name by address
};

// What one core has recorded and not yet executed.
struct Pending {
    explicit Pending(nanobind::object table);

    nanobind::object table;  // a Steps, or None
    nanobind::list pending;
    int64_t base = 0;  // records before those that are pending
    WordTable place_numbers;
    std::vector<nanobind::object> places;
    std::vector<nanobind::object> codes;  // keeps alive what the numbers name

    nanobind::object place_of(nanobind::object frame);
};

void bind_recorder(nanobind::module_& m);

}  // namespace opentrn
