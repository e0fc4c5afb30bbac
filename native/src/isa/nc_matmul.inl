// nc_matmul(dst, stationary, moving), ints = [accumulate, is_transpose]: dst (M, N) = or += stationary (K, M)^T @
// moving (K, N). accumulate: 0 overwrites, 1 adds, -1 adds where dst was written before. A bfloat16 dst is read, added
// to and rounded.
namespace nc_matmul {

constexpr int64_t max_depth = 128;       // K: the rows of the systolic array
constexpr int64_t max_stationary = 128;  // M
constexpr int64_t packed_columns = (max_stationary + tile_rows - 1) / tile_rows * tile_rows;

static bool accept(Plan& plan) {
    if (plan.operand_count != 3 || plan.int_count < 2 || !all_have_values(plan)) return false;
    const OperandPlan &dst = plan.operand[0], &stationary = plan.operand[1], &moving = plan.operand[2];
    bool fits = stationary.rows == moving.rows && dst.rows == stationary.cols && dst.cols == moving.cols &&
                stationary.rows <= max_depth && stationary.cols <= max_stationary;
    bool float_dst = dst.dtype == DType::float32 || dst.dtype == DType::bfloat16;
    if (!fits || !float_dst || is_integer(stationary.dtype) || is_integer(moving.dtype)) return false;
    plan.accumulates_by_shadow = plan.ints[0] == -1;
    return true;
}

// Hands out consecutive column panels of an operand with dense rows; other layouts are gathered first.
struct Panels {
    const OperandPlan& operand;
    const uint8_t* base;
    int64_t row_step;
    Cursor cursors[max_depth];
    alignas(64) uint8_t gathered[max_depth * tile_cols * 4];
    bool dense;

    Panels(const OperandPlan& operand, uint8_t* base)
        : operand(operand), base(base), row_step(operand.row_step), dense(operand.row.run == operand.cols) {
        if (dense) return;
        row_step = tile_cols * operand.size;
        for (int64_t k = 0; k < operand.rows; k++) cursors[k] = Cursor(operand.row, base + k * operand.row_step);
    }
    const uint8_t* columns(int64_t begin, int64_t count) {
        if (dense) return base + begin * operand.size;
        for (int64_t k = 0; k < operand.rows; k++) gather(cursors[k], operand.size, gathered + k * row_step, count);
        return gathered;
    }
};

struct Target {
    const Plan& plan;
    const Arguments& arguments;

    const OperandPlan& view() const { return plan.operand[0]; }
    bool uniform() const { return plan.ints[0] >= 0 || arguments.dst_coverage != Coverage::mixed; }
    bool adds_everywhere() const {
        return plan.ints[0] == 1 || (plan.ints[0] < 0 && arguments.dst_coverage == Coverage::all);
    }
    bool adds_at(const uint8_t* at) const {
        if (uniform()) return adds_everywhere();
        return arguments.dst_shadow[(arguments.dst_offset + (at - arguments.data[0])) / arguments.dst_unit] == 1;
    }
    // Whether a whole tile can be stored from registers.
    bool takes_tiles() const { return uniform() && view().dtype == DType::float32 && view().row.run == view().cols; }
};

// dst[row, begin : begin + count] = or += sums; sums is overwritten.
static void write_row(const Target& target, int64_t row, int64_t begin, int64_t count, float* sums) {
    const OperandPlan& dst = target.view();
    Cursor from(dst.row, target.arguments.data[0] + row * dst.row_step);
    skip(from, begin);
    Cursor to = from, flags = from;
    if (!target.uniform() || target.adds_everywhere()) {
        alignas(64) float scratch[tile_cols];
        const float* before = next_values(from, dst, scratch, count);
        bool uniform = target.uniform();
        for (int64_t i = 0; i < count; i++) {
            bool adds = uniform || target.adds_at(flags.at);
            sums[i] = adds ? before[i] + sums[i] : sums[i];
            if (!uniform) flags.advance(1);
        }
    }
    put_values(to, dst, sums, count);
}

static void write_tile(const Target& target, const float* left, const float* right, int64_t row, int64_t begin) {
    const OperandPlan& dst = target.view();
    int64_t depth = target.plan.operand[1].rows;
    int64_t height = smaller(tile_rows, dst.rows - row), width = smaller(tile_cols, dst.cols - begin);
    if (target.takes_tiles() && height == tile_rows && width == tile_cols && dst.row_step % 4 == 0) {
        float* at = reinterpret_cast<float*>(target.arguments.data[0] + row * dst.row_step) + begin;
        multiply_tile(left, right, depth, at, dst.row_step / 4, target.adds_everywhere());
        return;
    }
    alignas(64) float sums[tile_rows * tile_cols];
    multiply_tile(left, right, depth, sums, tile_cols, false);
    for (int64_t r = 0; r < height; r++) write_row(target, row + r, begin, width, sums + r * tile_cols);
}

static void execute(const Plan& plan, const Arguments& arguments) {
    const OperandPlan &stationary = plan.operand[1], &moving = plan.operand[2];
    int64_t depth = stationary.rows, rows = stationary.cols, cols = moving.cols;
    alignas(64) static thread_local float left[max_depth * packed_columns];
    alignas(64) static thread_local float right[max_depth * tile_cols];
    Target target{plan, arguments};
    Panels from_left(stationary, arguments.data[1]), from_right(moving, arguments.data[2]);
    Pack pack_left = pack_stationary_table[static_cast<int>(stationary.dtype)];
    Pack pack_right = pack_moving_table[static_cast<int>(moving.dtype)];

    for (int64_t m = 0; m < rows; m += tile_rows) {
        int64_t count = smaller(tile_rows, rows - m);
        pack_left(from_left.columns(m, count), from_left.row_step, depth, count, left + m * depth, tile_rows);
    }
    for (int64_t n = 0; n < cols; n += tile_cols) {
        int64_t count = smaller(tile_cols, cols - n);
        pack_right(from_right.columns(n, count), from_right.row_step, depth, count, right, tile_cols);
        for (int64_t m = 0; m < rows; m += tile_rows) write_tile(target, left + m * depth, right, m, n);
    }
}

}  // namespace nc_matmul
