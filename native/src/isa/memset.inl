// memset(dst): one value, from ints (bits of an integer type, truncated) or floats (rounded to dst).
namespace fill {

static bool accept(Plan& plan) {
    if (plan.operand_count != 1 || plan.int_count + plan.float_count != 1) return false;
    return plan.int_count ? is_integer(plan.operand[0].dtype) : has_value(plan.operand[0].dtype);
}

static uint32_t element(const Plan& plan) {
    if (plan.int_count) return static_cast<uint32_t>(plan.ints[0]);
    uint32_t bits = 0;
    float value = static_cast<float>(plan.floats[0]);
    store_of(plan.operand[0].dtype)(&value, &bits, 1);
    return bits;
}

template <class T> static void repeat(const Plan& plan, const Arguments& arguments) {
    T value = static_cast<T>(element(plan));
    Stream streams[] = {flat_stream(plan, arguments, 0)};
    walk_streams(streams, [value](int64_t count, uint8_t** at) {
        T* to = reinterpret_cast<T*>(at[0]);
        for (int64_t i = 0; i < count; i++) to[i] = value;
    });
}

static void execute(const Plan& plan, const Arguments& arguments) {
    int size = plan.operand[0].size;
    if (size == 4) repeat<uint32_t>(plan, arguments);
    else if (size == 2) repeat<uint16_t>(plan, arguments);
    else repeat<uint8_t>(plan, arguments);
}

}  // namespace fill
