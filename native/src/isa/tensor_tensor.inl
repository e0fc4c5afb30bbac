// tensor_tensor(dst, a, b), ints = [alu, integer mode]: dst = a op b, in float32 or in 32-bit wraparound integers.
namespace tensor_tensor {

// One pass from bits to bits for the common case of three bfloat16 operands: two elements in each 32-bit lane, which
// are taken apart and put together by masks and shifts instead of widening and narrowing.
using Fused = void (*)(const uint8_t* left, const uint8_t* right, uint8_t* target, int64_t count);
typedef uint32_t Pair __attribute__((aligned(2), may_alias));

template <Alu op> void fuse(const uint8_t* left, const uint8_t* right, uint8_t* target, int64_t count) {
    using Codec = OPENTRN_LEVEL::Codec<DType::bfloat16>;
    auto *a = reinterpret_cast<const Pair*>(left), *b = reinterpret_cast<const Pair*>(right);
    auto* to = reinterpret_cast<Pair*>(target);
    constexpr uint32_t upper = 0xffff0000u;
    constexpr int64_t chunk = 2048;
    for (int64_t begin = 0; begin < count / 2; begin += chunk) {
        int64_t end = smaller(begin + chunk, count / 2);
        uint32_t any_nan = 0;
#pragma GCC ivdep  // in place the inputs are read before their own elements are written
        for (int64_t i = begin; i < end; i++) {
            uint32_t x = a[i], y = b[i];
            float first = OPENTRN_LEVEL::apply<op>(float_of(x << 16), float_of(y << 16));
            float second = OPENTRN_LEVEL::apply<op>(float_of(x & upper), float_of(y & upper));
            // a NaN that comes of bfloat16 numbers has no lower half, so it stays one
            to[i] = (nearest<16>(bits_of(first)) >> 16) | (nearest<16>(bits_of(second)) & upper);
            any_nan |= __builtin_isunordered(first, second) ? 1u : 0u;
        }
        if (any_nan) {
            for (int64_t i = begin; i < end; i++) to[i] = one_nan(to[i] << 16, to[i] << 16) >> 16 | one_nan(to[i] & upper, to[i] & upper);
        }
    }
    if (count % 2) {
        int64_t last = count - 1;
        auto value = [last](const uint8_t* from) { return Codec::decode(reinterpret_cast<const uint16_t*>(from)[last]); };
        reinterpret_cast<uint16_t*>(target)[last] = Codec::encode(OPENTRN_LEVEL::apply<op>(value(left), value(right)));
    }
}

static Fused fused_of(const Plan& plan) {
    for (int k = 0; k < 3; k++) {
        if (plan.operand[k].dtype != DType::bfloat16) return nullptr;
    }
    switch (static_cast<Alu>(plan.ints[0])) {
        case Alu::add: return fuse<Alu::add>;
        case Alu::subtract: return fuse<Alu::subtract>;
        case Alu::multiply: return fuse<Alu::multiply>;
        case Alu::maximum: return fuse<Alu::maximum>;
        case Alu::minimum: return fuse<Alu::minimum>;
        default: return nullptr;
    }
}

static bool accept(Plan& plan) {
    if (plan.operand_count != 3 || plan.int_count < 2) return false;
    if (!same_rows_and_cols(plan, 0, 1) || !same_rows_and_cols(plan, 0, 2)) return false;
    if (plan.ints[1]) {
        if (!same_integers(plan)) return false;
        plan.kernel[0] = reinterpret_cast<const void*>(integer_binary_of(plan.ints[0], plan.operand[0].dtype));
    } else {
        if (!all_have_values(plan)) return false;
        plan.kernel[0] = reinterpret_cast<const void*>(binary_of(plan.ints[0]));
        plan.kernel[1] = reinterpret_cast<const void*>(fused_of(plan));
    }
    return plan.kernel[0] != nullptr;
}

static void execute_integers(const Plan& plan, const Stream (&streams)[3]) {
    auto kernel = reinterpret_cast<IntegerBinary>(plan.kernel[0]);
    walk_streams(streams, [kernel](int64_t count, uint8_t** at) { kernel(at[1], at[2], at[0], count); });
}

static void execute_floats(const Plan& plan, const Stream (&streams)[3]) {
    if (auto fused = reinterpret_cast<Fused>(plan.kernel[1])) {
        walk_streams(streams, [fused](int64_t count, uint8_t** at) { fused(at[1], at[2], at[0], count); });
        return;
    }
    auto kernel = reinterpret_cast<Binary>(plan.kernel[0]);
    DType to = plan.operand[0].dtype, left = plan.operand[1].dtype, right = plan.operand[2].dtype;
    Store store = store_of(to);
    bool direct = to == DType::float32;
    int64_t to_size = streams[0].size, left_size = streams[1].size, right_size = streams[2].size;
    walk_streams(streams, [=](int64_t count, uint8_t** at) {
        alignas(64) float a[block_size], b[block_size], result[block_size];
        for (int64_t i = 0; i < count; i += block_size) {
            int64_t n = smaller(block_size, count - i);
            const float* x = as_float(left, at[1] + i * left_size, a, n);
            const float* y = as_float(right, at[2] + i * right_size, b, n);
            uint8_t* target = at[0] + i * to_size;
            kernel(x, y, direct ? reinterpret_cast<float*>(target) : result, n);
            if (!direct) store(result, target, n);
        }
    });
}

static void execute(const Plan& plan, const Arguments& arguments) {
    Stream streams[] = {flat_stream(plan, arguments, 0), flat_stream(plan, arguments, 1),
                        flat_stream(plan, arguments, 2)};
    if (plan.ints[1]) execute_integers(plan, streams);
    else execute_floats(plan, streams);
}

}  // namespace tensor_tensor
