// The event loop: in-order sequencers, DMA queues that share bandwidth, ports, banks, clocks, and the meetings of cores.
//
// Times are ns. What the loop knows about the chip comes in `Machine` and in the cost of each class of instruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "dependencies.hpp"

namespace opentrn::timing {

enum Cause : uint8_t { start_, engine_, semaphore_, dma_, port_, bank_, weights_, table_, core_, register_ };

struct Machine {
    double semaphore_ns, table_load_ns;
    double further_wait_ns[sequencers];            // engine time of each semaphore beyond the first
    double core_bytes_per_ns, stack_bytes_per_ns;  // what all DMA engines of a core, and the cores of a stack, can move
    double dma_engines;
    double clock_window_ns, clock_phase_ns, clock_low_rate, clock_threshold;  // TensorE; threshold 0: always at full rate
    bool vector_gpsimd_parallel, vector_scalar_parallel;
    double prologue_ns;
};

// One class of instruction: its cost (see isa.spec.Cost).
struct Cost {
    double busy, latency, preload, shared, address;  // shared < 0: the port does not matter
    int32_t table, meets;                            // -1: none
    double nbytes, work, first, complete, engines;   // of a transfer; work: ns that it takes alone. nbytes 0: no transfer
};

struct Timing {
    std::vector<double> ready, start, end, done;
    std::vector<uint8_t> cause;
    std::vector<int32_t> blocker;
    std::vector<double> first, last;        // of DMAs, by instruction (NaN elsewhere)
    std::vector<double> clock_change;       // times at which TensorE changes rate, first to `full`, then back, ...
    explicit Timing(int64_t count);
};

struct CoreProgram {
    Program program;
    const Dependencies* dependencies;
    const uint8_t* banks;                   // PSUM banks that each instruction touches
};

// What keeps a stopped program from going on: one engine's head, and what it waits for.
struct Stuck {
    int core, engine;
    int32_t instruction, waits_for;         // -1: the other core
};

// False when nothing can go on; `stuck` then tells why.
bool run(const Machine& machine, const std::vector<Cost>& costs, const std::vector<CoreProgram>& cores,
         std::vector<Timing>& results, std::vector<Stuck>& stuck);

}  // namespace opentrn::timing
