// Elementary functions in float32, branch free so that loops over them vectorise. Error against exact: tests/native.
// Polynomials: minimax fits of the relative error (Lawson-weighted least squares); log and tanh after Cephes.

// exp(x) = mantissa * 2^exponent with mantissa in [0.7, 1.42]; the split lets callers round once, also to subnormals.
struct Split {
    float mantissa;
    int32_t exponent;
};

OPENTRN_INLINE Split split_exp(float x) {
    constexpr float to_integer = 12582912.0f;  // 1.5 * 2^23: the adder rounds to an integer, kept in the low bits
    float shifted = fma(x, 1.44269504088896341f, to_integer);
    float n = shifted - to_integer;
    float r = fma(n, -0.693359375f, x);
    r = fma(n, 2.12194440e-4f, r);
    float p = 1.985780720e-04f;
    p = fma(p, r, 1.393363022e-03f);
    p = fma(p, r, 8.333360761e-03f);
    p = fma(p, r, 4.166646523e-02f);
    p = fma(p, r, 1.666666653e-01f);
    p = fma(p, r, 5.000000013e-01f);
    return {fma(p, r * r, r) + 1.0f, static_cast<int32_t>(bits_of(shifted) - bits_of(to_integer))};
}

// y * 2^exponent for exponents in [-252, 254], in two exact steps of which only the last can round.
OPENTRN_INLINE float scale_by(float y, int32_t exponent) {
    int32_t half = exponent >> 1;
    float first = float_of(static_cast<uint32_t>(half + 127) << 23);
    float second = float_of(static_cast<uint32_t>(exponent - half + 127) << 23);
    return y * first * second;
}

OPENTRN_INLINE float clamp(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

OPENTRN_INLINE float exp_of(float x) {
    Split e = split_exp(clamp(x, -104.0f, 89.0f));
    return scale_by(e.mantissa, e.exponent);
}

OPENTRN_INLINE float log_of(float x) {
    constexpr float infinity = __builtin_inff();
    bool tiny = x < 1.17549435e-38f;
    uint32_t bits = bits_of(pick(tiny, x * 8388608.0f, x));
    float exponent = pick(tiny, -23.0f, 0.0f);
    constexpr uint32_t sqrt_half = 0x3f3504f3u;
    uint32_t steps = bits - sqrt_half;
    exponent += static_cast<float>(static_cast<int32_t>(steps) >> 23);
    float f = float_of((steps & 0x007fffffu) + sqrt_half) - 1.0f;
    float z = f * f;
    float p = 7.0376836292e-2f;
    p = fma(p, f, -1.1514610310e-1f);
    p = fma(p, f, 1.1676998740e-1f);
    p = fma(p, f, -1.2420140846e-1f);
    p = fma(p, f, 1.4249322787e-1f);
    p = fma(p, f, -1.6668057665e-1f);
    p = fma(p, f, 2.0000714765e-1f);
    p = fma(p, f, -2.4999993993e-1f);
    p = fma(p, f, 3.3333331174e-1f);
    float y = fma(exponent, -2.12194440e-4f, f * z * p);
    y = fma(z, -0.5f, y);
    float result = fma(exponent, 0.693359375f, f + y);
    result = pick(x == infinity, infinity, result);
    result = pick(x == 0.0f, -infinity, result);
    return pick((x < 0.0f) | (x != x), __builtin_nanf(""), result);
}

OPENTRN_INLINE float tanh_of(float x) {
    float a = magnitude_of(x), z = x * x;
    float p = -5.70498872745e-3f;
    p = fma(p, z, 2.06390887954e-2f);
    p = fma(p, z, -5.37397155531e-2f);
    p = fma(p, z, 1.33314422036e-1f);
    p = fma(p, z, -3.33332819422e-1f);
    float near_zero = fma(p * z, x, x);
    float tail = 1.0f - 2.0f / (exp_of(2.0f * a) + 1.0f);
    tail = float_of(bits_of(tail) | (bits_of(x) & 0x80000000u));
    return pick(a < 0.625f, near_zero, tail);
}

// Upper tail of the normal distribution: Q(t) = exp(-t^2 / 2) * tail_factor(t) for t in [0, 14.6].
OPENTRN_INLINE float tail_factor(float t) {
    float v = 1.0f / fma(0.3f, t, 1.0f);
    float p = -2.062496475e-02f;
    p = fma(p, v, 1.124440038e-01f);
    p = fma(p, v, -2.282340302e-01f);
    p = fma(p, v, 1.918128183e-01f);
    p = fma(p, v, -7.944797409e-02f);
    p = fma(p, v, 9.617054436e-02f);
    p = fma(p, v, 7.838469232e-02f);
    p = fma(p, v, 1.102365378e-01f);
    p = fma(p, v, 1.195716734e-01f);
    p = fma(p, v, 1.196866974e-01f);
    return p * v;
}

// exp(-x^2 * half) with the rounding error of the square put back.
OPENTRN_INLINE Split split_gauss(float x, float half) {
    float square = x * x, error = fma(x, x, -square);
    Split e = split_exp(-half * square);
    e.mantissa = fma(e.mantissa, -half * error, e.mantissa);
    return e;
}

OPENTRN_INLINE float erf_of(float x) {
    float a = magnitude_of(x), z = x * x;
    float p = 7.853857692e-05f;
    p = fma(p, z, -8.010192517e-04f);
    p = fma(p, z, 5.188327560e-03f);
    p = fma(p, z, -2.685381187e-02f);
    p = fma(p, z, 1.128358515e-01f);
    p = fma(p, z, -3.761262582e-01f);
    p = fma(p, z, 1.128379166e+00f);
    float t = a > 4.2f ? 4.2f : a;
    Split e = split_gauss(t, 1.0f);
    float tail = 1.0f - 2.0f * scale_by(e.mantissa * tail_factor(t * 1.41421356f), e.exponent);
    tail = float_of(bits_of(tail) | (bits_of(x) & 0x80000000u));
    return pick(a < 1.0f, p * x, tail);
}

// x * Phi(x). For x < 0 the small factor 2^exponent comes last.
OPENTRN_INLINE float gelu_of(float x) {
    float t = magnitude_of(x);
    t = t > 14.6f ? 14.6f : t;
    Split e = split_gauss(t, 0.5f);
    float q = e.mantissa * tail_factor(t);
    float upper = x * (1.0f - scale_by(q, e.exponent));
    float lower = scale_by(-t * q, e.exponent);
    return pick(x < 0.0f, lower, upper);
}

// x * sigmoid(high + low), where high has the sign of x and low is its rounding error.
OPENTRN_INLINE float gate(float x, float high, float low) {
    bool negative = high < 0.0f;
    float a = magnitude_of(high);
    a = a > 120.0f ? 120.0f : a;
    Split e = split_exp(-a);
    e.mantissa = fma(e.mantissa, pick(negative, low, -low), e.mantissa);
    float below = x < -200.0f ? -200.0f : x;
    float ratio = pick(negative, below * e.mantissa, x) / (1.0f + scale_by(e.mantissa, e.exponent));
    return pick(negative, scale_by(ratio, e.exponent), ratio);
}

OPENTRN_INLINE float silu_of(float x) { return gate(x, x, 0.0f); }

OPENTRN_INLINE float sigmoid_of(float x) {
    bool negative = x < 0.0f;
    float a = magnitude_of(x);
    Split e = split_exp(-(a > 120.0f ? 120.0f : a));
    float ratio = pick(negative, e.mantissa, 1.0f) / (1.0f + scale_by(e.mantissa, e.exponent));
    return pick(negative, scale_by(ratio, e.exponent), ratio);
}

// x * sigmoid(1.702 x)
OPENTRN_INLINE float gelu_sigmoid_of(float x) {
    constexpr float factor = 1.702f, factor_low = static_cast<float>(1.702 - static_cast<double>(factor));
    float c = clamp(x, -200.0f, 200.0f);
    float high = factor * c;
    return gate(x, high, fma(factor, c, -high) + factor_low * c);
}

// x / 2 * (1 + tanh(u)) = x * sigmoid(2 u), 2 u = x * (linear + cubic * x^2), evaluated in twice the precision.
OPENTRN_INLINE float gelu_tanh_of(float x) {
    constexpr double linear_exact = 1.5957691216057308, cubic_exact = linear_exact * 0.044715;
    constexpr float linear = static_cast<float>(linear_exact), linear_low = static_cast<float>(linear_exact - linear);
    constexpr float cubic = static_cast<float>(cubic_exact), cubic_low = static_cast<float>(cubic_exact - cubic);
    float c = clamp(x, -20.0f, 20.0f);
    float square = c * c, square_low = fma(c, c, -square);
    float p = cubic * square, p_low = fma(cubic, square, -p) + cubic * square_low + cubic_low * square;
    float s = linear + p, part = s - linear;
    float s_low = (linear - (s - part)) + (p - part) + p_low + linear_low;
    float high = c * s;
    return gate(x, high, fma(c, s, -high) + c * s_low);
}

// Inside [-pi, pi] the sine; outside the cubic about the nearer end that the chip's tables continue with.
OPENTRN_INLINE float sin_of(float x) {
    constexpr float to_integer = 12582912.0f, last_inside = 3.1415925f;
    constexpr double pi = 3.141592653589793;
    float shifted = fma(x, 0.636619772f, to_integer);
    float k = shifted - to_integer;
    uint32_t quadrant = bits_of(shifted);
    float r = fma(k, -1.57079625e+00f, x);
    r = fma(k, -7.54978942e-08f, r);
    r = fma(k, -5.39030253e-15f, r);
    float z = r * r;
    float sine = fma(fma(fma(-1.9515295891e-4f, z, 8.3321608736e-3f), z, -1.6666654611e-1f) * z, r, r);
    float cosine = fma(fma(fma(2.443315711809948e-5f, z, -1.388731625493765e-3f), z, 4.166664568298827e-2f) * z, z,
                       fma(z, -0.5f, 1.0f));
    float value = pick((quadrant & 1) != 0, cosine, sine);
    value = float_of(bits_of(value) ^ ((quadrant & 2) << 30));
    double past = static_cast<double>(x) - (x < 0.0f ? -pi : pi);
    float outside = static_cast<float>(past * past * past / 6.0 - past);
    return pick(magnitude_of(x) <= last_inside, value, outside);
}

// Correctly rounded 1 / sqrt(x) = y (1 + h + 3/2 h^2 + ...), where y is the quotient of roundings and 2 h = 1 - x y^2.
OPENTRN_INLINE float rsqrt_of(float x) {
    float y = 1.0f / __builtin_sqrtf(x);
    float product = x * y, error = fma(x, y, -product);
    float h = 0.5f * fma(-error, y, fma(-product, y, 1.0f));
    float refined = fma(fma(1.5f * h, h, h), y, y);
    bool special = !(x > 0.0f) | (x == __builtin_inff());
    return pick(special, y, refined);
}

OPENTRN_INLINE float sign_of(float x) {
    float result = pick(x > 0.0f, 1.0f, pick(x < 0.0f, -1.0f, 0.0f));
    return pick(x != x, x, result);
}
