// Element types. The codes are the ABI with opentrn's Python side.
#pragma once
#include <cstdint>

namespace opentrn {

// clang-format off
enum class DType : uint8_t {
    float32 = 0, bfloat16, float16, float8_e4m3, float8_e5m2, float8_e4m3fn,
    int32, uint32, int16, uint16, int8, uint8, boolean,
    tfloat32, float8_e8m0fnu, packed4_a, packed4_b, packed2,
};
// clang-format on

constexpr int dtype_count = 18;
constexpr int item_sizes[dtype_count] = {4, 2, 2, 1, 1, 1, 4, 4, 2, 2, 1, 1, 1, 4, 1, 4, 4, 2};

[[gnu::always_inline]] constexpr int item_size(DType dtype) { return item_sizes[static_cast<int>(dtype)]; }
[[gnu::always_inline]] constexpr bool is_integer(DType dtype) {
    return dtype >= DType::int32 && dtype <= DType::boolean;
}
[[gnu::always_inline]] constexpr bool is_signed(DType dtype) {
    return dtype == DType::int32 || dtype == DType::int16 || dtype == DType::int8;
}
// Types whose elements can be read and written as float32.
[[gnu::always_inline]] constexpr bool has_value(DType dtype) { return dtype <= DType::tfloat32; }

}  // namespace opentrn
