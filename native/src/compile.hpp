// From the description Python gives to a Plan.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "plan.hpp"

namespace opentrn {

struct OperandSpec {
    int dtype;
    std::vector<int64_t> shape, strides;  // strides in elements
    std::string_view role;                // "in", "out" or "inout"
};

struct Signature {
    std::string_view opcode;
    std::vector<OperandSpec> operands;
    std::vector<int64_t> ints;
    std::vector<double> floats;
};

// The kernels this processor can run, best first.
const std::vector<const Kernels*>& usable_kernels();

// Nothing when the combination is not implemented natively. Throws std::invalid_argument on a malformed description.
std::optional<Plan> compile(const Signature& signature, const Kernels& kernels);

}  // namespace opentrn
