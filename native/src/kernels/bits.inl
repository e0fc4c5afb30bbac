// Bit casts and a fused multiply-add whose result is the same on every level.

// Loops over these functions vectorise only when every call is inlined.
#define OPENTRN_INLINE [[gnu::always_inline]] inline

OPENTRN_INLINE uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
OPENTRN_INLINE float float_of(uint32_t u) { return __builtin_bit_cast(float, u); }
OPENTRN_INLINE uint32_t mask_of(bool condition) { return 0u - static_cast<uint32_t>(condition); }
OPENTRN_INLINE uint32_t pick(bool condition, uint32_t yes, uint32_t no) {
    uint32_t mask = mask_of(condition);
    return (yes & mask) | (no & ~mask);
}
OPENTRN_INLINE float pick(bool condition, float yes, float no) { return condition ? yes : no; }

OPENTRN_INLINE float magnitude_of(float x) { return float_of(bits_of(x) & 0x7fffffffu); }

#if defined(__FMA__) || defined(__aarch64__)
OPENTRN_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
// The product of two floats is exact in double. The sum is rounded to odd (the last bit is set when inexact),
// so that the final rounding to float is the only one (Boldo and Melquiond, 2008).
OPENTRN_INLINE float fma(float a, float b, float c) {
    double product = static_cast<double>(a) * b, addend = c;
    double sum = product + addend;
    double part = sum - product;
    double error = (product - (sum - part)) + (addend - part);
    int64_t bits = __builtin_bit_cast(int64_t, sum);
    int64_t inexact = (error > 0.0) | (error < 0.0);
    int64_t away = 1 - 2 * static_cast<int64_t>((error > 0.0) != (sum > 0.0));
    bits += inexact & ~bits ? away : 0;
    return static_cast<float>(__builtin_bit_cast(double, bits));
}
#endif

OPENTRN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
