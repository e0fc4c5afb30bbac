#include "reorder.hpp"

#include <array>
#include <deque>
#include <utility>

namespace opentrn::timing {

namespace {

class Pass {
  public:
    Pass(const Program& program, Regions& regions) : program_(program), regions_(regions) {
        order_.reserve(static_cast<size_t>(program.count));
    }

    // Rows come in program order; `edges` are those that end at `row`.
    void take(int64_t row, uint8_t engine, bool store, bool fence, int64_t window, const int64_t* edge,
              const int64_t* edges_end) {
        for (auto& waiting : held_)
            if (!waiting.empty())
                release(waiting, fence ? waiting.size() : up_to_conflict(waiting, row, edge, edges_end));
        int64_t seen = ++seen_[engine];
        auto& own = held_[engine];
        if (store)
            own.push_back({row, seen + window});
        else
            order_.push_back(row);
        while (!own.empty() && own.front().until <= seen) release(own, 1);
    }

    std::vector<int64_t> finish() {
        for (auto& waiting : held_) release(waiting, waiting.size());
        return std::move(order_);
    }

  private:
    struct Held {
        int64_t row, until;  // `until` so many instructions of its engine have come
    };
    using Waiting = std::deque<Held>;

    void release(Waiting& waiting, size_t count) {
        for (; count > 0; count--) {
            order_.push_back(waiting.front().row);
            waiting.pop_front();
        }
    }

    // How many of the oldest have to go first: up to the youngest that `row` must stay behind.
    size_t up_to_conflict(const Waiting& waiting, int64_t row, const int64_t* edge, const int64_t* edges_end) {
        for (size_t k = waiting.size(); k > 0; k--) {
            int64_t old = waiting[k - 1].row;
            for (const int64_t* each = edge; each < edges_end; each += 2)
                if (each[0] == old) return k;
            if (conflict(old, row)) return k;
        }
        return 0;
    }

    bool conflict(int64_t old, int64_t row) {
        for (int64_t a = program_.first_operand[old]; a < program_.first_operand[old + 1]; a++) {
            const Region& left = regions_[program_.region[a]];
            for (int64_t b = program_.first_operand[row]; b < program_.first_operand[row + 1]; b++) {
                if (!((program_.access[a] | program_.access[b]) & writes)) continue;
                const Region& right = regions_[program_.region[b]];
                if (left.space == right.space && left.box.meets(right.box) &&
                    regions_.share(program_.region[a], program_.region[b]))
                    return true;
            }
        }
        return false;
    }

    const Program& program_;
    Regions& regions_;
    std::array<Waiting, sequencers> held_;
    std::array<int64_t, sequencers> seen_{};
    std::vector<int64_t> order_;
};

}  // namespace

std::vector<int64_t> reorder(const Program& program, Regions& regions, const uint8_t* store, const uint8_t* fence,
                             int64_t window) {
    Pass pass(program, regions);
    int64_t edge = 0;
    for (int64_t i = 0; i < program.count; i++) {
        int64_t first = edge;
        while (edge < program.edge_count && program.edges[2 * edge + 1] == i) edge++;
        pass.take(i, program.engine[program.kind[i]], store[i], fence[i], window, program.edges + 2 * first,
                  program.edges + 2 * edge);
    }
    return pass.finish();
}

}  // namespace opentrn::timing
