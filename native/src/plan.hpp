// A Plan is one instruction signature, checked and compiled once: geometry of every operand plus the kernel to call.
// Plain data only: this header is also read by the per-level kernel files, which must not emit shared inline code.
#pragma once
#include <cstdint>

#include "dtype.hpp"

namespace opentrn {

constexpr int max_axes = 8;
constexpr int max_operands = 6;
constexpr int max_ints = 32;
constexpr int max_floats = 8;

struct Axis {
    int64_t count;
    int64_t step;  // bytes
};

// A nest of loops, outermost first; at least one axis. `run` is how many elements lie side by side in memory.
struct Axes {
    int rank;
    Axis axis[max_axes];
    int64_t count;
    int64_t run;
};

// The set of bytes a view touches, whatever the order: steps positive and descending, `run_bytes` bytes each.
struct Footprint {
    int rank;
    Axis axis[max_axes];
    int64_t run_bytes;
    int64_t low, high;  // byte range, relative to the view's offset
    bool dense;         // touches every byte of [low, high) once
};

struct OperandPlan {
    DType dtype;
    int size;  // bytes per element
    bool reads, writes;
    int64_t rows;      // P: the first dimension
    int64_t row_step;  // bytes
    int64_t cols;      // F: product of the other dimensions
    Axes flat;         // all dimensions
    Axes row;          // all but the first
    Axes spread;       // a (P, 1) operand repeated along the columns of operand 0
    int64_t shape[max_axes], step[max_axes];
    int rank;
    Footprint footprint;
    bool like_dst;  // same element addresses as operand 0, in the same order, when the offsets are equal
};

enum class Coverage : uint8_t { none, all, mixed };

// What one execution gets: the first byte of each operand, and for an accumulating dst what was written before.
struct Arguments {
    uint8_t* data[max_operands];
    Coverage dst_coverage;
    const uint8_t* dst_shadow;  // of the whole Block; only with Coverage::mixed
    int64_t dst_offset;         // bytes from the start of the Block
    int64_t dst_unit;
};

struct Plan;
struct Instruction {
    const char* name;
    bool elementwise;            // reads element i before it writes element i and nothing else: in place is safe
    bool (*accept)(Plan& plan);  // false: not native, Python runs the meaning
    void (*execute)(const Plan& plan, const Arguments& arguments);
};

struct Plan {
    const Instruction* instruction;
    int operand_count;
    OperandPlan operand[max_operands];
    int int_count;
    int64_t ints[max_ints];
    int float_count;
    double floats[max_floats];
    bool accumulates_by_shadow;
    const void* kernel[4];  // chosen by accept()
};

struct Kernels {
    const char* level;
    const Instruction* instructions;
    int count;
};

}  // namespace opentrn
