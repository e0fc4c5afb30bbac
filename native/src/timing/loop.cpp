#include "loop.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

namespace opentrn::timing {

namespace {

constexpr double never = std::numeric_limits<double>::infinity();
constexpr double not_yet = std::numeric_limits<double>::quiet_NaN();
constexpr int tensor = 0, vector_ = 1, scalar = 2, gpsimd = 3;
constexpr int32_t nobody = -1;

// TensorE's clock: in each window the share of cycles in use decides the rate in the next one.
class Clock {
  public:
    explicit Clock(const Machine& machine) : machine_(machine), window_end_(machine.clock_phase_ns) {
        full_ = machine.clock_threshold <= 0;
    }

    // ns that `work` ns (at full rate) take from `start`; notes the changes of rate on the way.
    double spend(double start, double work, std::vector<double>& changes) {
        if (machine_.clock_threshold <= 0) return work;
        advance(start, changes);
        double now = start;
        while (work > 0) {
            double step = std::min(work / rate(), window_end_ - now);
            used_ += step * rate();
            work -= step * rate();
            now += step;
            if (work <= 1e-9) break;
            advance(window_end_, changes);
        }
        return now - start;
    }

    double rate() const { return full_ ? 1.0 : machine_.clock_low_rate; }

  private:
    void advance(double time, std::vector<double>& changes) {
        while (time >= window_end_) {
            bool busy = used_ >= machine_.clock_threshold * machine_.clock_window_ns;
            if (busy != full_) changes.push_back(window_end_);
            full_ = busy;
            used_ = 0;
            double window = machine_.clock_window_ns;
            window_end_ += window;
            if (time >= window_end_ + window) {  // idle since: half rate from the next window on
                if (full_) changes.push_back(window_end_);
                full_ = false;
                window_end_ += std::floor((time - window_end_) / window) * window;
            }
        }
    }

    const Machine& machine_;
    double window_end_, used_ = 0;
    bool full_;
};

struct Engine {
    std::vector<int32_t> order;
    size_t next = 0;
    double free = 0, last_done = 0;
    double port_free = 0;        // end of its latest work on data; triggering a DMA takes no port
    int32_t port_user = nobody;
    double candidate = never;
    double unhindered = never;   // the candidate, and why, before ports and banks
    Cause unhindered_cause = start_;
    int32_t unhindered_blocker = nobody;
    int32_t waits_for = nobody;  // an instruction whose end is not known yet
    bool meeting = false;        // its head waits for the other core
    int32_t previous = nobody;
    Cause cause = start_;
    int32_t blocker = nobody;
    bool done() const { return next == order.size(); }
    int32_t head() const { return order[next]; }

    // Moves the head's time; what delays it longest is the cause that is told.
    void delay(double& at, double until, Cause why) {
        if (until <= at) return;
        if (until - at > at - free) cause = why;
        at = until;
    }
    void delay(double& at, double until, Cause why, int32_t by) {
        if (until > at && until - at > at - free) blocker = by;
        delay(at, until, why);
    }
};

struct Arrival {
    int32_t instruction;
    double time;
};

struct Queue {
    std::deque<Arrival> waiting;
    int32_t active = nobody;
    double left = 0;    // ns that it would still take alone
    double share = 0;   // of the DMA engines
    double bytes_per_ns = 0;
    double rate = 0;
};

class Core {
  public:
    Core(const Machine& machine, const CoreProgram& source, Timing& result)
        : program(source.program), dependencies(*source.dependencies), banks(source.banks), result(result),
          clock(machine) {
        for (int64_t i = 0; i < program.count; i++)
            engines[program.engine[program.kind[i]]].order.push_back(static_cast<int32_t>(i));
        for (Engine& engine : engines) engine.free = engine.last_done = machine.prologue_ns;
    }

    const Program& program;
    const Dependencies& dependencies;
    const uint8_t* banks;
    Timing& result;
    Clock clock;
    Engine engines[sequencers];
    Queue queues[sequencers];
    int32_t table = -1;
    double previous_matmul = -never;   // start of the latest matmul, when its weights left the way in
    double bank_free[8][sequencers] = {};
    int32_t bank_user[8][sequencers] = {};
};

class Loop {
  public:
    Loop(const Machine& machine, const std::vector<Cost>& costs, const std::vector<CoreProgram>& programs,
         std::vector<Timing>& results)
        : machine_(machine), costs_(costs) {
        for (size_t c = 0; c < programs.size(); c++) {
            cores_.emplace_back(machine, programs[c], results[c]);
            left_ += programs[c].program.count;
        }
    }

    bool run(std::vector<Stuck>& stuck) {
        for (Core& core : cores_)
            for (int e = 0; e < sequencers; e++) prepare(core, e);
        while (left_ > 0 || moving_ > 0) {
            Core* core = nullptr;
            int engine = -1;
            double soonest = never;
            for (Core& each : cores_) {
                for (int e = 0; e < sequencers; e++) {
                    if (each.engines[e].candidate < soonest) {
                        soonest = each.engines[e].candidate;
                        core = &each;
                        engine = e;
                    }
                }
            }
            if (moving_ > 0 && next_dma_ <= soonest) {
                advance_dma();
            } else if (core) {
                issue(*core, engine);
            } else {
                tell(stuck);
                return false;
            }
        }
        return true;
    }

  private:
    const Cost& cost_of(const Core& core, int32_t i) const {
        return costs_[static_cast<size_t>(core.program.kind[i])];
    }

    // When the head of an engine could issue, as far as that is known; what it waits for otherwise.
    void prepare(Core& core, int e) {
        Engine& engine = core.engines[e];
        engine.candidate = never;
        engine.waits_for = nobody;
        engine.meeting = false;
        if (engine.done()) return;
        int32_t i = engine.head();
        const Cost& cost = cost_of(core, i);
        const Dependencies& waits = core.dependencies;
        int64_t first = waits.first[static_cast<size_t>(i)], last = waits.first[static_cast<size_t>(i) + 1];
        int32_t local = waits.local[static_cast<size_t>(i)];
        // an instruction waits for one semaphore; each further one is an instruction of its own
        int64_t further = std::max<int64_t>(0, last - first + (local != nobody) - 1);
        double at = engine.free + static_cast<double>(further) * machine_.further_wait_ns[e], needed = 0;
        engine.cause = engine.previous == nobody ? start_ : engine_;
        engine.blocker = engine.previous;
        auto wait_for = [&](int32_t producer) {
            double done = core.result.done[static_cast<size_t>(producer)];
            if (std::isnan(done)) {
                engine.waits_for = producer;
                return false;
            }
            done += machine_.semaphore_ns;
            needed = std::max(needed, done);
            if (done > at) {
                at = done;
                engine.cause = core.program.is_dma[core.program.kind[producer]] ? dma_ : semaphore_;
                engine.blocker = producer;
            }
            return true;
        };
        for (int64_t k = first; k < last; k++)
            if (!wait_for(waits.producer[static_cast<size_t>(k)])) return;
        if (local != nobody && !wait_for(local)) return;
        if (cost.preload > 0) load_weights(core, engine, cost.preload, needed, at);
        if (cost.table >= 0 && cost.table != core.table)
            engine.delay(at, engine.free + machine_.table_load_ns, table_);  // the load waits for nothing
        engine.delay(at, at + cost.address, register_);
        if (cost.meets >= 0 && cores_.size() > 1) {
            engine.meeting = true;
            ready_at_[core_number(core)][e] = at;
            meet(core, e, cost.meets);
            return;
        }
        engine.candidate = engine.unhindered = at;
        engine.unhindered_cause = engine.cause;
        engine.unhindered_blocker = engine.blocker;
    }

    // LoadStationary runs behind the matmul before it (trainium_inferentia2_arch.rst, "Performance Consideration").
    void load_weights(Core& core, Engine& engine, double work, double needed, double& at) const {
        double begin = std::max({core.previous_matmul, needed, machine_.prologue_ns});
        engine.delay(at, begin + work / core.clock.rate(), weights_);
    }

    int core_number(const Core& core) const { return static_cast<int>(&core - cores_.data()); }

    // Two cores issue the meeting instruction together, once both have come to it.
    void meet(Core& core, int e, int32_t name) {
        Core& other = cores_[static_cast<size_t>(1 - core_number(core))];
        for (int k = 0; k < sequencers; k++) {
            Engine& theirs = other.engines[k];
            if (!theirs.meeting || theirs.done() || cost_of(other, theirs.head()).meets != name) continue;
            Engine& ours = core.engines[e];
            double mine = ready_at_[core_number(core)][e], yours = ready_at_[core_number(other)][k];
            double together = std::max(mine, yours);
            if (mine < together) ours.cause = core_;
            if (yours < together) theirs.cause = core_;
            ours.candidate = theirs.candidate = ours.unhindered = theirs.unhindered = together;
            ours.unhindered_cause = ours.cause;
            theirs.unhindered_cause = theirs.cause;
            ours.unhindered_blocker = ours.blocker;
            theirs.unhindered_blocker = theirs.blocker;
            ours.meeting = theirs.meeting = false;
            return;
        }
    }

    void issue(Core& core, int e) {
        Engine& engine = core.engines[e];
        int32_t i = engine.head();
        size_t at = static_cast<size_t>(i);
        const Cost& cost = cost_of(core, i);
        double start = engine.candidate;
        if (conflict(core, e, i, start)) return;  // looked at again at the later time
        double busy = cost.busy;
        if (e == vector_ && cost.shared >= 0 && core.engines[gpsimd].port_free > start) busy = cost.shared;
        if (e == tensor) {
            busy = core.clock.spend(start, busy, core.result.clock_change);
            core.previous_matmul = start;
        }
        if (cost.table >= 0) core.table = cost.table;
        core.result.ready[at] = engine.free;
        core.result.start[at] = start;
        core.result.cause[at] = engine.cause;
        core.result.blocker[at] = engine.blocker;
        engine.free = core.result.end[at] = start + busy;
        for (int b = 0; b < 8; b++) {
            if (core.banks[at] >> b & 1) {
                core.bank_free[b][e] = engine.free;
                core.bank_user[b][e] = i;
            }
        }
        if (cost.nbytes == 0) {
            engine.port_free = engine.free;
            engine.port_user = i;
        }
        engine.previous = i;
        engine.next++;
        left_--;
        if (cost.nbytes > 0) {
            Queue& queue = core.queues[e];
            queue.waiting.push_back({i, start + cost.first});
            moving_++;
            if (queue.active == nobody) next_dma_ = std::min(next_dma_, std::max(queue.waiting.front().time, now_));
        } else {
            // an engine completes in order
            engine.last_done = std::max(engine.last_done, engine.free + cost.latency);
            core.result.done[at] = engine.last_done;
            wake(core, i);
        }
        prepare(core, e);
    }

    // True when a port or a PSUM bank is taken; the candidate is then the time at which it is free.
    bool conflict(Core& core, int e, int32_t i, double start) {
        if (e != vector_ && e != scalar && e != gpsimd) return false;
        Engine& engine = core.engines[e];
        double later = engine.unhindered;  // from the beginning each time: others may have taken more since
        engine.cause = engine.unhindered_cause;
        engine.blocker = engine.unhindered_blocker;
        if (!machine_.vector_gpsimd_parallel && (e == vector_ || e == gpsimd) && cost_of(core, i).nbytes == 0) {
            const Engine& other = core.engines[e == vector_ ? gpsimd : vector_];
            engine.delay(later, other.port_free, port_, other.port_user);
        }
        uint8_t used = core.banks[i];
        if (used && (e == vector_ || e == scalar)) {
            int other = e == vector_ ? scalar : vector_;
            for (int b = 0; b < 8; b++) {
                bool same = machine_.vector_scalar_parallel ? (used >> b & 1) : true;
                if (same) engine.delay(later, core.bank_free[b][other], bank_, core.bank_user[b][other]);
            }
        }
        engine.candidate = later;
        return later > start;
    }

    void wake(Core& core, int32_t i) {
        for (int e = 0; e < sequencers; e++)
            if (core.engines[e].waits_for == i) prepare(core, e);
    }

    // Goes to the next time at which a transfer begins or ends.
    void advance_dma() {
        double to = next_dma_;
        for (Core& core : cores_)
            for (Queue& queue : core.queues)
                if (queue.active != nobody) queue.left -= (to - now_) * queue.rate;
        now_ = to;
        for (Core& core : cores_) {
            for (int q = 0; q < sequencers; q++) {
                Queue& queue = core.queues[q];
                if (queue.active != nobody && queue.left <= 1e-6) finish(core, q);
                if (queue.active == nobody && !queue.waiting.empty() && queue.waiting.front().time <= now_) begin(core, q);
            }
        }
        share();
    }

    void begin(Core& core, int q) {
        Queue& queue = core.queues[q];
        queue.active = queue.waiting.front().instruction;
        queue.waiting.pop_front();
        const Cost& cost = cost_of(core, queue.active);
        queue.left = cost.work;
        queue.share = cost.engines / machine_.dma_engines;
        queue.bytes_per_ns = cost.nbytes / cost.work;
        core.result.first[static_cast<size_t>(queue.active)] = now_;
    }

    void finish(Core& core, int q) {
        Queue& queue = core.queues[q];
        int32_t i = queue.active;
        queue.active = nobody;
        moving_--;
        size_t at = static_cast<size_t>(i);
        core.result.last[at] = now_;
        core.result.done[at] = now_ + cost_of(core, i).complete;
        wake(core, i);
    }

    // Transfers that meet on a DMA engine take turns there; a core and a stack of HBM move only so many bytes.
    void share() {
        double stack = 0;
        for (Core& core : cores_) {
            double load = 0, bytes = 0;
            for (Queue& queue : core.queues)
                if (queue.active != nobody) load += queue.share;
            for (Queue& queue : core.queues) {
                if (queue.active == nobody) continue;
                queue.rate = 1 / std::max(1.0, 1 + load - queue.share);
                bytes += queue.rate * queue.bytes_per_ns;
            }
            double scale = std::min(1.0, machine_.core_bytes_per_ns / std::max(bytes, 1e-12));
            for (Queue& queue : core.queues) queue.rate *= scale;
            stack += bytes * scale;
        }
        double scale = std::min(1.0, machine_.stack_bytes_per_ns / std::max(stack, 1e-12));
        next_dma_ = never;
        for (Core& core : cores_) {
            for (Queue& queue : core.queues) {
                if (queue.active != nobody) {
                    queue.rate *= scale;
                    next_dma_ = std::min(next_dma_, now_ + queue.left / queue.rate);
                } else if (!queue.waiting.empty()) {
                    next_dma_ = std::min(next_dma_, std::max(now_, queue.waiting.front().time));
                }
            }
        }
    }

    void tell(std::vector<Stuck>& stuck) const {
        for (size_t c = 0; c < cores_.size(); c++) {
            for (int e = 0; e < sequencers; e++) {
                const Engine& engine = cores_[c].engines[e];
                if (!engine.done()) stuck.push_back({static_cast<int>(c), e, engine.head(), engine.waits_for});
            }
        }
    }

    const Machine& machine_;
    const std::vector<Cost>& costs_;
    std::vector<Core> cores_;
    double ready_at_[2][sequencers] = {};
    int64_t left_ = 0, moving_ = 0;  // instructions to issue, transfers under way
    double now_ = 0, next_dma_ = never;
};

}  // namespace

Timing::Timing(int64_t count) {
    size_t n = static_cast<size_t>(count);
    ready.assign(n, not_yet);
    start.assign(n, not_yet);
    end.assign(n, not_yet);
    done.assign(n, not_yet);
    first.assign(n, not_yet);
    last.assign(n, not_yet);
    cause.assign(n, start_);
    blocker.assign(n, nobody);
}

bool run(const Machine& machine, const std::vector<Cost>& costs, const std::vector<CoreProgram>& cores,
         std::vector<Timing>& results, std::vector<Stuck>& stuck) {
    return Loop(machine, costs, cores, results).run(stuck);
}

}  // namespace opentrn::timing
