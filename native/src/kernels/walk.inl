// Walking strided views. Kernels see only dense arrays: runs of memory where the views allow it, else gathered chunks.

constexpr int64_t block_size = 512;   // floats in a scratch row that stays in L1
constexpr int64_t chunk_size = 1024;  // elements gathered or scattered at once

struct Cursor {
    const Axes* axes;
    uint8_t* at;
    int64_t index[max_axes];

    Cursor() = default;
    Cursor(const Axes& over, uint8_t* base) : axes(&over), at(base) {
        for (int i = 0; i < over.rank; i++) index[i] = 0;
    }
    const Axis& inner() const { return axes->axis[axes->rank - 1]; }
    int64_t left() const { return inner().count - index[axes->rank - 1]; }

    // Moves on within the innermost axis, `count` <= left().
    void advance(int64_t count) {
        int i = axes->rank - 1;
        at += count * axes->axis[i].step;
        index[i] += count;
        while (i > 0 && index[i] == axes->axis[i].count) {
            at -= axes->axis[i].count * axes->axis[i].step;
            index[i] = 0;
            i--;
            at += axes->axis[i].step;
            index[i]++;
        }
    }
};

template <class T> void gather_as(Cursor& cursor, void* target, int64_t count) {
    T* to = static_cast<T*>(target);
    while (count > 0) {
        int64_t n = smaller(count, cursor.left()), step = cursor.inner().step;
        const uint8_t* from = cursor.at;
        if (step == static_cast<int64_t>(sizeof(T))) {
            memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
        } else {
            for (int64_t i = 0; i < n; i++) memcpy(to + i, from + i * step, sizeof(T));
        }
        to += n;
        count -= n;
        cursor.advance(n);
    }
}

template <class T> void scatter_as(Cursor& cursor, const void* source, int64_t count) {
    const T* from = static_cast<const T*>(source);
    while (count > 0) {
        int64_t n = smaller(count, cursor.left()), step = cursor.inner().step;
        uint8_t* to = cursor.at;
        if (step == static_cast<int64_t>(sizeof(T))) {
            memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
        } else {
            for (int64_t i = 0; i < n; i++) memcpy(to + i * step, from + i, sizeof(T));
        }
        from += n;
        count -= n;
        cursor.advance(n);
    }
}

inline void gather(Cursor& cursor, int size, void* target, int64_t count) {
    if (size == 4) gather_as<uint32_t>(cursor, target, count);
    else if (size == 2) gather_as<uint16_t>(cursor, target, count);
    else gather_as<uint8_t>(cursor, target, count);
}
inline void scatter(Cursor& cursor, int size, const void* source, int64_t count) {
    if (size == 4) scatter_as<uint32_t>(cursor, source, count);
    else if (size == 2) scatter_as<uint16_t>(cursor, source, count);
    else scatter_as<uint8_t>(cursor, source, count);
}

// One view taking part in a walk. The first stream of a walk is the one written.
struct Stream {
    const Axes* axes;
    uint8_t* base;
    int size;
};

inline int64_t common_run(const Stream* streams, int count) {
    int64_t run = streams[0].axes->run;
    for (int k = 1; k < count; k++) run = smaller(run, streams[k].axes->run);
    for (int k = 0; k < count; k++) {
        if (streams[k].axes->run % run) return 1;
    }
    return run;
}

// Calls body(count, pointers) for consecutive parts of all streams; pointers[k] is dense. Order is row major.
template <int count, class Body> void walk_streams(const Stream (&streams)[count], Body&& body) {
    int64_t total = streams[0].axes->count;
    uint8_t* pointers[count];
    int64_t run = common_run(streams, count);
    if (run == total) {
        for (int k = 0; k < count; k++) pointers[k] = streams[k].base;
        body(total, pointers);
        return;
    }
    Cursor cursors[count];
    for (int k = 0; k < count; k++) cursors[k] = Cursor(*streams[k].axes, streams[k].base);
    if (run >= 32) {
        for (int64_t done = 0; done < total; done += run) {
            for (int k = 0; k < count; k++) pointers[k] = cursors[k].at;
            body(run, pointers);
            for (int k = 0; k < count; k++) cursors[k].advance(run);
        }
        return;
    }
    alignas(64) uint8_t scratch[count][chunk_size * 4];
    for (int64_t done = 0; done < total; done += chunk_size) {
        int64_t n = smaller(chunk_size, total - done);
        for (int k = 1; k < count; k++) {
            pointers[k] = scratch[k];
            if (streams[k].axes->run > 1 && cursors[k].left() >= n) {
                pointers[k] = cursors[k].at;
                cursors[k].advance(n);
            } else {
                gather(cursors[k], streams[k].size, scratch[k], n);
            }
        }
        bool direct = streams[0].axes->run > 1 && cursors[0].left() >= n;
        pointers[0] = direct ? cursors[0].at : scratch[0];
        body(n, pointers);
        if (direct) cursors[0].advance(n);
        else scatter(cursors[0], streams[0].size, scratch[0], n);
    }
}

// The next `count` (at most block_size) elements of a view as float32, without a copy where they are dense float32
// already.
inline const float* next_values(Cursor& cursor, const OperandPlan& view, float* scratch, int64_t count) {
    if (cursor.axes->run > 1 && cursor.left() >= count) {
        const float* values = as_float(view.dtype, cursor.at, scratch, count);
        cursor.advance(count);
        return values;
    }
    alignas(64) uint8_t raw[block_size * 4];
    gather(cursor, view.size, raw, count);
    load_of(view.dtype)(raw, scratch, count);
    return scratch;
}

inline void put_values(Cursor& cursor, const OperandPlan& view, const float* values, int64_t count) {
    alignas(64) uint8_t raw[block_size * 4];
    store_of(view.dtype)(values, raw, count);
    scatter(cursor, view.size, raw, count);
}

inline void skip(Cursor& cursor, int64_t count) {
    while (count > 0) {
        int64_t n = smaller(count, cursor.left());
        cursor.advance(n);
        count -= n;
    }
}

inline Stream flat_stream(const Plan& plan, const Arguments& arguments, int k) {
    return {&plan.operand[k].flat, arguments.data[k], plan.operand[k].size};
}
inline Stream row_stream(const Plan& plan, const Arguments& arguments, int k, int64_t row) {
    return {&plan.operand[k].row, arguments.data[k] + row * plan.operand[k].row_step, plan.operand[k].size};
}
inline const void* vector_element(const Plan& plan, const Arguments& arguments, int k, int64_t row) {
    return arguments.data[k] + row * plan.operand[k].row_step;
}
inline float vector_value(const Plan& plan, const Arguments& arguments, int k, int64_t row) {
    return one_as_float(plan.operand[k].dtype, vector_element(plan, arguments, k, row));
}

// Checks shared by accept() functions.
inline bool same_rows_and_cols(const Plan& plan, int a, int b) {
    return plan.operand[a].rows == plan.operand[b].rows && plan.operand[a].cols == plan.operand[b].cols;
}
inline bool is_vector_of(const Plan& plan, int vector, int data) {
    return plan.operand[vector].rows == plan.operand[data].rows && plan.operand[vector].cols == 1;
}
inline bool all_have_values(const Plan& plan) {
    for (int k = 0; k < plan.operand_count; k++) {
        if (!has_value(plan.operand[k].dtype)) return false;
    }
    return true;
}
