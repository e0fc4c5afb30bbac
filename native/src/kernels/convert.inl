// Element types to and from float32, one rounding (to nearest even), equal to ml_dtypes; NaNs come out canonical.

template <int exponent_bits, int mantissa_bits, bool finite_only> struct Minifloat {
    static constexpr int bias = (1 << (exponent_bits - 1)) - 1;
    static constexpr int shift = 23 - mantissa_bits;
    static constexpr int width = 1 + exponent_bits + mantissa_bits;
    static constexpr uint32_t sign = 1u << (width - 1);
    static constexpr uint32_t rebias = static_cast<uint32_t>(127 - bias);
    static constexpr uint32_t infinity = ((1u << exponent_bits) - 1) << mantissa_bits;
    static constexpr uint32_t nan = finite_only ? sign - 1 : infinity | (1u << (mantissa_bits - 1));
    static constexpr uint32_t overflow = finite_only ? nan : infinity;
    // Adding this power of two makes the floating-point adder round to the smallest subnormal.
    static constexpr uint32_t magic = (rebias + shift + 1) << 23;

    OPENTRN_INLINE static float decode(uint32_t x) {
        uint32_t magnitude = (x & (sign - 1)) << shift, negative = (x & sign) << (32 - width);
        uint32_t normal = magnitude + (rebias << 23);
        uint32_t lifted = magnitude + ((rebias + 1) << 23);
        uint32_t subnormal = bits_of(float_of(lifted) - float_of((rebias + 1) << 23));
        uint32_t result = pick(magnitude < (1u << 23), subnormal, normal);
        if constexpr (finite_only) {
            result = pick(magnitude == (nan << shift), 0x7fc00000u, result);
        } else {
            result = pick(magnitude >= (infinity << shift), 0x7f800000u, result);
            result = pick(magnitude > (infinity << shift), 0x7fc00000u, result);
        }
        return float_of(result | negative);
    }

    OPENTRN_INLINE static uint32_t encode(float value) {
        uint32_t u = bits_of(value), magnitude = u & 0x7fffffffu, negative = (u >> (32 - width)) & sign;
        uint32_t rounded = magnitude + ((1u << (shift - 1)) - 1) + ((magnitude >> shift) & 1);
        uint32_t normal = (rounded >> shift) - (rebias << mantissa_bits);
        uint32_t subnormal = bits_of(float_of(magnitude) + float_of(magic)) - magic;
        uint32_t result = pick(magnitude < ((rebias + 1) << 23), subnormal, normal);
        result = result > overflow ? overflow : result;
        return pick(magnitude > 0x7f800000u, nan, result) | negative;
    }
};

// The bits above the dropped ones are rounded to nearest even; the dropped ones hold what is left of them.
template <int dropped_bits> OPENTRN_INLINE uint32_t nearest(uint32_t u) {
    constexpr uint32_t half = 1u << (dropped_bits - 1);
    return u + pick((u & (half << 1)) != 0, half, half - 1);
}

// A NaN as the one of its sign.
OPENTRN_INLINE uint32_t one_nan(uint32_t u, uint32_t otherwise) {
    return pick((u & 0x7fffffffu) > 0x7f800000u, (u & 0x80000000u) | 0x7fc00000u, otherwise);
}

template <int dropped_bits> OPENTRN_INLINE uint32_t round_mantissa(float value) {
    uint32_t u = bits_of(value);
    return one_nan(u, nearest<dropped_bits>(u) >> dropped_bits << dropped_bits);
}

// To nearest even, saturating, NaN to 0. `above` is the first float that is too large.
OPENTRN_INLINE float clamp_round(float value, float low, float high) {
    value = pick(value == value, value, 0.0f);
    value = value < low ? low : value;
    value = value > high ? high : value;
    return __builtin_rintf(value);
}

template <DType dtype> struct Codec;
template <> struct Codec<DType::float32> {
    using Store = float;
    OPENTRN_INLINE static float decode(float x) { return x; }
    OPENTRN_INLINE static float encode(float x) { return x; }
};
template <> struct Codec<DType::tfloat32> {
    using Store = float;
    OPENTRN_INLINE static float decode(float x) { return x; }
    OPENTRN_INLINE static float encode(float x) { return float_of(round_mantissa<13>(x)); }
};
template <> struct Codec<DType::bfloat16> {
    using Store = uint16_t;
    OPENTRN_INLINE static float decode(uint16_t x) { return float_of(static_cast<uint32_t>(x) << 16); }
    OPENTRN_INLINE static uint16_t encode(float x) { return static_cast<uint16_t>(round_mantissa<16>(x) >> 16); }
};
template <class Format, class T> struct MinifloatCodec {
    using Store = T;
    OPENTRN_INLINE static float decode(T x) { return Format::decode(x); }
    OPENTRN_INLINE static T encode(float x) { return static_cast<T>(Format::encode(x)); }
};
template <> struct Codec<DType::float16> : MinifloatCodec<Minifloat<5, 10, false>, uint16_t> {};
template <> struct Codec<DType::float8_e4m3> : MinifloatCodec<Minifloat<4, 3, false>, uint8_t> {};
template <> struct Codec<DType::float8_e5m2> : MinifloatCodec<Minifloat<5, 2, false>, uint8_t> {};
template <> struct Codec<DType::float8_e4m3fn> : MinifloatCodec<Minifloat<4, 3, true>, uint8_t> {};

template <class T, int low, int high> struct SmallIntegerCodec {
    using Store = T;
    OPENTRN_INLINE static float decode(T x) { return static_cast<float>(x); }
    OPENTRN_INLINE static T encode(float x) { return static_cast<T>(static_cast<int32_t>(clamp_round(x, low, high))); }
};
template <> struct Codec<DType::int16> : SmallIntegerCodec<int16_t, -32768, 32767> {};
template <> struct Codec<DType::uint16> : SmallIntegerCodec<uint16_t, 0, 65535> {};
template <> struct Codec<DType::int8> : SmallIntegerCodec<int8_t, -128, 127> {};
template <> struct Codec<DType::uint8> : SmallIntegerCodec<uint8_t, 0, 255> {};
template <> struct Codec<DType::int32> {
    using Store = int32_t;
    OPENTRN_INLINE static float decode(int32_t x) { return static_cast<float>(x); }
    OPENTRN_INLINE static int32_t encode(float x) {
        int32_t inside = static_cast<int32_t>(clamp_round(x, -2147483648.0f, 2147483520.0f));
        return static_cast<int32_t>(pick(x >= 2147483648.0f, 0x7fffffffu, static_cast<uint32_t>(inside)));
    }
};
template <> struct Codec<DType::uint32> {
    using Store = uint32_t;
    OPENTRN_INLINE static float decode(uint32_t x) { return static_cast<float>(x); }
    OPENTRN_INLINE static uint32_t encode(float x) {
        // Halves of the range, because only the signed conversion is one instruction on every level.
        float inside = clamp_round(x, 0.0f, 4294967040.0f);
        bool upper = inside >= 2147483648.0f;
        uint32_t low = static_cast<uint32_t>(static_cast<int32_t>(inside - pick(upper, 2147483648.0f, 0.0f)));
        return pick(x >= 4294967296.0f, 0xffffffffu, low + pick(upper, 0x80000000u, 0u));
    }
};
template <> struct Codec<DType::boolean> {
    using Store = uint8_t;
    OPENTRN_INLINE static float decode(uint8_t x) { return static_cast<float>(x != 0); }
    OPENTRN_INLINE static uint8_t encode(float x) { return x != 0.0f; }
};

using Load = void (*)(const void* source, float* target, int64_t count);
using Store = void (*)(const float* source, void* target, int64_t count);

template <DType dtype> void load_as(const void* source, float* __restrict target, int64_t count) {
    auto* from = static_cast<const typename Codec<dtype>::Store*>(source);
    for (int64_t i = 0; i < count; i++) target[i] = Codec<dtype>::decode(from[i]);
}
template <DType dtype> void store_as(const float* __restrict source, void* target, int64_t count) {
    auto* to = static_cast<typename Codec<dtype>::Store*>(target);
    for (int64_t i = 0; i < count; i++) to[i] = Codec<dtype>::encode(source[i]);
}

#define OPENTRN_BY_DTYPE(function)                                                               \
    {function<DType::float32>,     function<DType::bfloat16>,    function<DType::float16>,       \
     function<DType::float8_e4m3>, function<DType::float8_e5m2>, function<DType::float8_e4m3fn>, \
     function<DType::int32>,       function<DType::uint32>,      function<DType::int16>,         \
     function<DType::uint16>,      function<DType::int8>,        function<DType::uint8>,         \
     function<DType::boolean>,     function<DType::tfloat32>}

static const Load load_table[] = OPENTRN_BY_DTYPE(load_as);
static const Store store_table[] = OPENTRN_BY_DTYPE(store_as);

inline Load load_of(DType dtype) { return load_table[static_cast<int>(dtype)]; }
inline Store store_of(DType dtype) { return store_table[static_cast<int>(dtype)]; }

// float32 needs no conversion on the way in: hand out the memory itself. tfloat32 is stored as float32.
inline bool reads_as_float(DType dtype) { return dtype == DType::float32 || dtype == DType::tfloat32; }

inline const float* as_float(DType dtype, const void* source, float* scratch, int64_t count) {
    if (reads_as_float(dtype)) return static_cast<const float*>(source);
    load_of(dtype)(source, scratch, count);
    return scratch;
}

inline float one_as_float(DType dtype, const void* source) {
    float value;
    load_of(dtype)(source, &value, 1);
    return value;
}
