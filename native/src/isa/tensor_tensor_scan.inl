// tensor_tensor_scan(dst, data0, data1[, initial]): along each row, state = (data0 op0 state) op1 data1, in float32;
// dst gets the rounded state. ints = [op0, op1, reverse0, reverse1, has initial vector], floats = [initial].
namespace tensor_tensor_scan {

constexpr int lane_count = 16;  // rows scanned side by side
constexpr int64_t depth = 64;   // columns transposed at a time

static bool accept(Plan& plan) {
    if (plan.int_count < 5 || plan.float_count < 1 || !all_have_values(plan)) return false;
    if (plan.operand_count != 3 + (plan.ints[4] ? 1 : 0)) return false;
    if (!same_rows_and_cols(plan, 0, 1) || !same_rows_and_cols(plan, 0, 2)) return false;
    if (plan.ints[4] && !is_vector_of(plan, 3, 1)) return false;
    plan.kernel[0] = reinterpret_cast<const void*>(binary_of(plan.ints[0]));
    plan.kernel[1] = reinterpret_cast<const void*>(binary_of(plan.ints[1]));
    return plan.kernel[0] && plan.kernel[1];
}

using Block = float[depth][lane_count];

static void read_columns(Cursor* cursors, const OperandPlan& view, int64_t lanes, int64_t count, Block& block) {
    alignas(64) float scratch[depth];
    for (int64_t lane = 0; lane < lanes; lane++) {
        const float* values = next_values(cursors[lane], view, scratch, count);
        for (int64_t i = 0; i < count; i++) block[i][lane] = values[i];
    }
}

static void write_columns(Cursor* cursors, const OperandPlan& view, int64_t lanes, int64_t count, const Block& block) {
    alignas(64) float values[depth];
    for (int64_t lane = 0; lane < lanes; lane++) {
        for (int64_t i = 0; i < count; i++) values[i] = block[i][lane];
        put_values(cursors[lane], view, values, count);
    }
}

inline void step(const Plan& plan, const float* data0, const float* data1, float* state) {
    auto op0 = reinterpret_cast<Binary>(plan.kernel[0]), op1 = reinterpret_cast<Binary>(plan.kernel[1]);
    alignas(64) float middle[lane_count];
    op0(plan.ints[2] ? state : data0, plan.ints[2] ? data0 : state, middle, lane_count);
    op1(plan.ints[3] ? data1 : middle, plan.ints[3] ? middle : data1, state, lane_count);
}

static void scan_rows(const Plan& plan, const Arguments& arguments, int64_t first, int64_t lanes) {
    Cursor cursors[3][lane_count];
    alignas(64) float state[lane_count] = {};
    for (int64_t lane = 0; lane < lanes; lane++) {
        for (int k = 0; k < 3; k++) {
            Stream stream = row_stream(plan, arguments, k, first + lane);
            cursors[k][lane] = Cursor(*stream.axes, stream.base);
        }
        state[lane] =
            plan.ints[4] ? vector_value(plan, arguments, 3, first + lane) : static_cast<float>(plan.floats[0]);
    }
    alignas(64) Block data0 = {}, data1 = {};
    for (int64_t done = 0; done < plan.operand[0].cols; done += depth) {
        int64_t count = smaller(depth, plan.operand[0].cols - done);
        read_columns(cursors[1], plan.operand[1], lanes, count, data0);
        read_columns(cursors[2], plan.operand[2], lanes, count, data1);
        for (int64_t i = 0; i < count; i++) {
            step(plan, data0[i], data1[i], state);
            memcpy(data0[i], state, sizeof(state));
        }
        write_columns(cursors[0], plan.operand[0], lanes, count, data0);
    }
}

static void execute(const Plan& plan, const Arguments& arguments) {
    int64_t rows = plan.operand[0].rows;
    for (int64_t row = 0; row < rows; row += lane_count)
        scan_rows(plan, arguments, row, smaller(lane_count, rows - row));
}

}  // namespace tensor_tensor_scan
