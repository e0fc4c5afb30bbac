// Compiled once per instruction-set level (OPENTRN_LEVEL = v2, v3, v4 or base), each in its own namespace.
// No std templates below: an inline function shared between levels could be linked in from the wrong one.
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX512F__) || defined(__FMA__)
#include <immintrin.h>
#endif

#include "../plan.hpp"

namespace opentrn::OPENTRN_LEVEL {

#include "bits.inl"
#include "convert.inl"
#include "walk.inl"
#include "functions.inl"
#include "alu.inl"
#include "gemm.inl"

#include "../isa/copy.inl"
#include "../isa/memset.inl"
#include "../isa/tensor_tensor.inl"
#include "../isa/tensor_scalar.inl"
#include "../isa/scalar_tensor_tensor.inl"
#include "../isa/activation.inl"
#include "../isa/tensor_reduce.inl"
#include "../isa/nc_matmul.inl"
#include "../isa/nc_transpose.inl"
#include "../isa/tensor_tensor_scan.inl"
#include "../isa/iota.inl"
#include "../isa/affine_select.inl"
#include "../isa/tensor_copy_predicated.inl"

#define OPENTRN_TEXT_(x) #x
#define OPENTRN_TEXT(x) OPENTRN_TEXT_(x)

static const Instruction instructions[] = {
    {"copy", true, copy::accept, copy::execute},
    {"memset", true, fill::accept, fill::execute},
    {"tensor_tensor", true, tensor_tensor::accept, tensor_tensor::execute},
    {"tensor_scalar", true, tensor_scalar::accept, tensor_scalar::execute},
    {"scalar_tensor_tensor", true, scalar_tensor_tensor::accept, scalar_tensor_tensor::execute},
    {"activation", true, activation::accept, activation::execute},
    {"tensor_reduce", false, tensor_reduce::accept, tensor_reduce::execute},
    {"nc_matmul", false, nc_matmul::accept, nc_matmul::execute},
    {"nc_transpose", false, nc_transpose::accept, nc_transpose::execute},
    {"tensor_tensor_scan", true, tensor_tensor_scan::accept, tensor_tensor_scan::execute},
    {"iota", true, iota::accept, iota::execute},
    {"affine_select", true, affine_select::accept, affine_select::execute},
    {"tensor_copy_predicated", true, tensor_copy_predicated::accept, tensor_copy_predicated::execute},
};

extern const Kernels kernels;
const Kernels kernels = {OPENTRN_TEXT(OPENTRN_LEVEL), instructions,
                         static_cast<int>(sizeof(instructions) / sizeof(instructions[0]))};

}  // namespace opentrn::OPENTRN_LEVEL
