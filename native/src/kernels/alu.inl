// The arithmetic-logic operators, in float32 and in 32-bit wraparound integers. The codes are the ABI with Python.

// clang-format off
enum class Alu : int {
    add = 0, subtract, multiply, maximum, minimum, equal, not_equal, greater_equal, greater, less_equal, less,
    logical_and, logical_or, logical_xor, power, abs_max, abs_min, bitwise_and, bitwise_or, bitwise_xor, invert,
    left_shift, right_shift, abs, square, relu, rsqrt, reciprocal, bypass,
};
// clang-format on
constexpr int alu_count = 29;

// NaN in either operand propagates; of two equal operands the second is returned (as numpy on x86).
OPENTRN_INLINE float maximum_of(float a, float b) { return pick((a > b) | (a != a), a, b); }
OPENTRN_INLINE float minimum_of(float a, float b) { return pick((a < b) | (a != a), a, b); }
OPENTRN_INLINE float truth(bool condition) { return pick(condition, 1.0f, 0.0f); }

template <Alu op> OPENTRN_INLINE float apply(float a, float b) {
    if constexpr (op == Alu::add) return a + b;
    else if constexpr (op == Alu::subtract) return a - b;
    else if constexpr (op == Alu::multiply) return a * b;
    else if constexpr (op == Alu::maximum) return maximum_of(a, b);
    else if constexpr (op == Alu::minimum) return minimum_of(a, b);
    else if constexpr (op == Alu::equal) return truth(a == b);
    else if constexpr (op == Alu::not_equal) return truth(a != b);
    else if constexpr (op == Alu::greater_equal) return truth(a >= b);
    else if constexpr (op == Alu::greater) return truth(a > b);
    else if constexpr (op == Alu::less_equal) return truth(a <= b);
    else if constexpr (op == Alu::less) return truth(a < b);
    else if constexpr (op == Alu::logical_and) return truth((a != 0.0f) & (b != 0.0f));
    else if constexpr (op == Alu::logical_or) return truth((a != 0.0f) | (b != 0.0f));
    else if constexpr (op == Alu::logical_xor) return truth((a != 0.0f) ^ (b != 0.0f));
    else if constexpr (op == Alu::power)
        return static_cast<float>(::pow(static_cast<double>(a), static_cast<double>(b)));
    else if constexpr (op == Alu::abs_max) return pick(magnitude_of(a) > magnitude_of(b), a, b);
    else if constexpr (op == Alu::abs_min) return pick(magnitude_of(a) < magnitude_of(b), a, b);
    else if constexpr (op == Alu::abs) return magnitude_of(a);
    else if constexpr (op == Alu::square) return a * a;
    else if constexpr (op == Alu::relu) return maximum_of(a, 0.0f);
    else if constexpr (op == Alu::rsqrt) return rsqrt_of(a);
    else if constexpr (op == Alu::reciprocal) return 1.0f / a;
    else return a;
}

using Binary = void (*)(const float* a, const float* b, float* target, int64_t count);

// ivdep: target is either apart from a and b or the very same row.
template <Alu op> void apply_rows(const float* a, const float* b, float* target, int64_t count) {
#pragma GCC ivdep
    for (int64_t i = 0; i < count; i++) target[i] = apply<op>(a[i], b[i]);
}

#define OPENTRN_ALU(code) apply_rows<static_cast<Alu>(code)>
static const Binary binary_table[alu_count] = {
    OPENTRN_ALU(0),  OPENTRN_ALU(1),  OPENTRN_ALU(2),  OPENTRN_ALU(3),  OPENTRN_ALU(4),  OPENTRN_ALU(5),
    OPENTRN_ALU(6),  OPENTRN_ALU(7),  OPENTRN_ALU(8),  OPENTRN_ALU(9),  OPENTRN_ALU(10), OPENTRN_ALU(11),
    OPENTRN_ALU(12), OPENTRN_ALU(13), OPENTRN_ALU(14), OPENTRN_ALU(15), OPENTRN_ALU(16), nullptr,
    nullptr,         nullptr,         nullptr,         nullptr,         nullptr,         OPENTRN_ALU(23),
    OPENTRN_ALU(24), OPENTRN_ALU(25), OPENTRN_ALU(26), OPENTRN_ALU(27), OPENTRN_ALU(28)};
#undef OPENTRN_ALU

inline Binary binary_of(int64_t code) { return code >= 0 && code < alu_count ? binary_table[code] : nullptr; }

// ---- integers: T is the view's element type, arithmetic wraps around

template <Alu op, class T> OPENTRN_INLINE T apply_integer(T a, T b) {
    using U = uint32_t;
    constexpr U width = sizeof(T) * 8;
    U x = static_cast<U>(a), y = static_cast<U>(b);
    if constexpr (op == Alu::add) return static_cast<T>(x + y);
    else if constexpr (op == Alu::subtract) return static_cast<T>(x - y);
    else if constexpr (op == Alu::multiply) return static_cast<T>(x * y);
    else if constexpr (op == Alu::maximum) return a > b ? a : b;
    else if constexpr (op == Alu::minimum) return a < b ? a : b;
    else if constexpr (op == Alu::equal) return a == b;
    else if constexpr (op == Alu::not_equal) return a != b;
    else if constexpr (op == Alu::greater_equal) return a >= b;
    else if constexpr (op == Alu::greater) return a > b;
    else if constexpr (op == Alu::less_equal) return a <= b;
    else if constexpr (op == Alu::less) return a < b;
    else if constexpr (op == Alu::logical_and) return (a != 0) & (b != 0);
    else if constexpr (op == Alu::logical_or) return (a != 0) | (b != 0);
    else if constexpr (op == Alu::logical_xor) return (a != 0) ^ (b != 0);
    else if constexpr (op == Alu::bitwise_and) return static_cast<T>(x & y);
    else if constexpr (op == Alu::bitwise_or) return static_cast<T>(x | y);
    else if constexpr (op == Alu::bitwise_xor) return static_cast<T>(x ^ y);
    else if constexpr (op == Alu::invert) return static_cast<T>(~x);
    else if constexpr (op == Alu::left_shift) return static_cast<T>((x << (y & 31)) & mask_of(y < width));
    else if constexpr (op == Alu::right_shift) return static_cast<T>((x >> (y & 31)) & mask_of(y < width));
    else if constexpr (op == Alu::abs) return static_cast<T>(a < T(0) ? 0u - x : x);
    else if constexpr (op == Alu::square) return static_cast<T>(x * x);
    else if constexpr (op == Alu::relu) return a > T(0) ? a : T(0);
    else return a;
}

using IntegerBinary = void (*)(const void* a, const void* b, void* target, int64_t count);

template <Alu op, class T> void apply_integer_rows(const void* a, const void* b, void* target, int64_t count) {
    auto* left = static_cast<const T*>(a);
    auto* right = static_cast<const T*>(b);
    auto* to = static_cast<T*>(target);
#pragma GCC ivdep
    for (int64_t i = 0; i < count; i++) to[i] = apply_integer<op, T>(left[i], right[i]);
}

template <class T> inline IntegerBinary bitwise_for(Alu op) {
    switch (op) {
        case Alu::bitwise_and: return apply_integer_rows<Alu::bitwise_and, T>;
        case Alu::bitwise_or: return apply_integer_rows<Alu::bitwise_or, T>;
        case Alu::bitwise_xor: return apply_integer_rows<Alu::bitwise_xor, T>;
        case Alu::invert: return apply_integer_rows<Alu::invert, T>;
        case Alu::left_shift: return apply_integer_rows<Alu::left_shift, T>;
        case Alu::right_shift: return apply_integer_rows<Alu::right_shift, T>;
        default: return nullptr;
    }
}

template <class T> inline IntegerBinary arithmetic_for(Alu op) {
    // clang-format off
#define OPENTRN_CASE(name) case Alu::name: return apply_integer_rows<Alu::name, T>;
    switch (op) {
        OPENTRN_CASE(add) OPENTRN_CASE(subtract) OPENTRN_CASE(multiply) OPENTRN_CASE(maximum) OPENTRN_CASE(minimum)
        OPENTRN_CASE(equal) OPENTRN_CASE(not_equal) OPENTRN_CASE(greater_equal) OPENTRN_CASE(greater)
        OPENTRN_CASE(less_equal) OPENTRN_CASE(less) OPENTRN_CASE(logical_and) OPENTRN_CASE(logical_or)
        OPENTRN_CASE(logical_xor) OPENTRN_CASE(abs) OPENTRN_CASE(square) OPENTRN_CASE(relu) OPENTRN_CASE(bypass)
        default: return bitwise_for<uint32_t>(op);
    }
#undef OPENTRN_CASE
    // clang-format on
}

// Bit operators work on any integer type; arithmetic only on the two 32-bit ones.
inline IntegerBinary integer_binary_of(int64_t code, DType dtype) {
    if (code < 0 || code >= alu_count || !is_integer(dtype) || dtype == DType::boolean) return nullptr;
    Alu op = static_cast<Alu>(code);
    if (dtype == DType::int32) return arithmetic_for<int32_t>(op);
    if (dtype == DType::uint32) return arithmetic_for<uint32_t>(op);
    return item_size(dtype) == 2 ? bitwise_for<uint16_t>(op) : bitwise_for<uint8_t>(op);
}

// Operands of an integer instruction have one width, and one signedness unless the operator only looks at bits.
inline bool same_integers(const Plan& plan) {
    for (int k = 0; k < plan.operand_count; k++) {
        if (plan.operand[k].dtype != plan.operand[0].dtype) return false;
    }
    return true;
}
