// copy(dst, src): equal element counts, row major. Same type: the bits; else src -> float32 -> dst.
namespace copy {

inline bool bits_agree(DType dst, DType src) {
    if (dst == src) return true;
    bool integers = is_integer(dst) && is_integer(src) && dst != DType::boolean && src != DType::boolean;
    return integers && item_size(dst) == item_size(src);
}

static void move_bits(const Plan& plan, const Arguments& arguments) {
    Stream streams[] = {flat_stream(plan, arguments, 0), flat_stream(plan, arguments, 1)};
    int64_t size = plan.operand[0].size;
    walk_streams(streams,
                 [size](int64_t count, uint8_t** at) { memmove(at[0], at[1], static_cast<size_t>(count * size)); });
}

static void convert(const Plan& plan, const Arguments& arguments) {
    Stream streams[] = {flat_stream(plan, arguments, 0), flat_stream(plan, arguments, 1)};
    DType from = plan.operand[1].dtype;
    Load load = load_of(from);
    Store store = store_of(plan.operand[0].dtype);
    bool direct_load = reads_as_float(from), direct_store = plan.operand[0].dtype == DType::float32;
    int64_t from_size = plan.operand[1].size, to_size = plan.operand[0].size;
    walk_streams(streams, [=](int64_t count, uint8_t** at) {
        alignas(64) float scratch[block_size];
        for (int64_t i = 0; i < count; i += block_size) {
            int64_t n = smaller(block_size, count - i);
            const uint8_t* source = at[1] + i * from_size;
            uint8_t* target = at[0] + i * to_size;
            if (direct_load) {
                store(reinterpret_cast<const float*>(source), target, n);
            } else if (direct_store && target != source) {
                load(source, reinterpret_cast<float*>(target), n);
            } else {
                load(source, scratch, n);
                store(scratch, target, n);
            }
        }
    });
}

static bool accept(Plan& plan) {
    if (plan.operand_count != 2 || plan.operand[0].flat.count != plan.operand[1].flat.count) return false;
    return bits_agree(plan.operand[0].dtype, plan.operand[1].dtype) || all_have_values(plan);
}

static void execute(const Plan& plan, const Arguments& arguments) {
    if (bits_agree(plan.operand[0].dtype, plan.operand[1].dtype)) {
        bool nothing_to_do = arguments.data[0] == arguments.data[1] && plan.operand[1].like_dst;
        if (!nothing_to_do) move_bits(plan, arguments);
    } else {
        convert(plan, arguments);
    }
}

}  // namespace copy
