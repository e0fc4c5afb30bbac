// Timing for Python: columns in, columns out. See src/opentrn/timing/native.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <memory>
#include <string>

#include "loop.hpp"
#include "reorder.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace opentrn::timing {

namespace {

template <class T> using Column = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;

// The columns of one dictionary; they stay alive as long as this does.
class Columns {
  public:
    explicit Columns(nb::dict source) : source_(std::move(source)) {}
    template <class T> const T* get(const char* name) { return column<T>(name).data(); }
    template <class T> int64_t size(const char* name) { return static_cast<int64_t>(column<T>(name).size()); }
    template <class T> T number(const char* name) { return nb::cast<T>(source_[name]); }

  private:
    template <class T> Column<T> column(const char* name) { return nb::cast<Column<T>>(source_[name]); }
    nb::dict source_;
};

template <class T> nb::object array_of(std::vector<T>&& values) {
    auto* held = new std::vector<T>(std::move(values));
    nb::capsule owner(held, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(held->data(), {held->size()}, owner));
}

Program program_of(Columns& columns, Columns& classes) {
    return {columns.get<int32_t>("kind"),       columns.get<int64_t>("first_operand"),
            columns.get<int32_t>("region"),     columns.get<uint8_t>("access"),
            columns.size<int32_t>("kind"),      classes.get<uint8_t>("engine"),
            classes.get<uint8_t>("is_dma"),     columns.get<int64_t>("edges"),
            columns.size<int64_t>("edges") / 2};
}

std::unique_ptr<Regions> regions_of(Columns& columns) {
    Tables tables{columns.get<int32_t>("allocation_space"), columns.get<int32_t>("allocation_row"),
                  columns.get<int64_t>("allocation_byte"),  columns.get<int64_t>("allocation_width"),
                  columns.get<uint8_t>("allocation_on_chip"), columns.get<int64_t>("allocation_bytes"),
                  columns.get<int64_t>("geometry_first"),   columns.get<int64_t>("geometry_shape"),
                  columns.get<int64_t>("geometry_stride"),  columns.get<int64_t>("geometry_itemsize"),
                  columns.get<uint8_t>("geometry_whole"),   columns.size<int64_t>("geometry_itemsize")};
    return std::make_unique<Regions>(tables, columns.get<int32_t>("region_allocation"),
                                     columns.get<int64_t>("region_offset"), columns.get<int32_t>("region_geometry"),
                                     columns.size<int32_t>("region_allocation"), columns.number<int64_t>("bank_bytes"),
                                     columns.number<int32_t>("psum_space"));
}

struct CoreInput {
    Columns columns;
    Program program;
    std::unique_ptr<Regions> regions;
    Dependencies dependencies;
    std::vector<uint8_t> banks;
    int32_t spaces;
    const uint8_t* skip;

    CoreInput(nb::dict source, Columns& classes) : columns(std::move(source)) {
        program = program_of(columns, classes);
        regions = regions_of(columns);
        spaces = static_cast<int32_t>(columns.size<uint8_t>("skip"));
        skip = columns.get<uint8_t>("skip");
    }

    // Without the interpreter: everything it needs was taken out of the dictionary before.
    void prepare() {
        dependencies = discover(program, *regions, spaces, skip);
        banks.assign(static_cast<size_t>(program.count), 0);
        for (int64_t i = 0; i < program.count; i++)
            for (int64_t k = program.first_operand[i]; k < program.first_operand[i + 1]; k++)
                banks[static_cast<size_t>(i)] |= (*regions)[program.region[k]].banks;
    }
};

Machine machine_of(nb::dict source) {
    Columns facts(std::move(source));
    auto number = [&](const char* name) { return facts.number<double>(name); };
    Machine machine{};
    machine.semaphore_ns = number("semaphore_ns");
    machine.table_load_ns = number("table_load_ns");
    const double* further = facts.get<double>("further_wait_ns");
    std::copy(further, further + sequencers, machine.further_wait_ns);
    machine.core_bytes_per_ns = number("core_bytes_per_ns");
    machine.stack_bytes_per_ns = number("stack_bytes_per_ns");
    machine.dma_engines = number("dma_engines");
    machine.clock_window_ns = number("clock_window_ns");
    machine.clock_phase_ns = number("clock_phase_ns");
    machine.clock_low_rate = number("clock_low_rate");
    machine.clock_threshold = number("clock_threshold");
    machine.vector_gpsimd_parallel = facts.number<bool>("vector_gpsimd_parallel");
    machine.vector_scalar_parallel = facts.number<bool>("vector_scalar_parallel");
    machine.prologue_ns = number("prologue_ns");
    return machine;
}

constexpr int64_t cost_fields = 12;

std::vector<Cost> costs_of(Columns& classes) {
    const double* row = classes.get<double>("costs");
    int64_t count = classes.size<double>("costs") / cost_fields;
    std::vector<Cost> result;
    for (int64_t k = 0; k < count; k++, row += cost_fields)
        result.push_back({row[0], row[1], row[2], row[3], row[4], static_cast<int32_t>(row[5]), static_cast<int32_t>(row[6]),
                          row[7], row[8], row[9], row[10], row[11]});
    return result;
}

nb::dict columns_of(Timing&& timing, Dependencies& dependencies) {
    nb::dict result;
    std::vector<int32_t> consumer(dependencies.producer.size());
    for (size_t i = 0; i + 1 < dependencies.first.size(); i++)
        for (int64_t k = dependencies.first[i]; k < dependencies.first[i + 1]; k++)
            consumer[static_cast<size_t>(k)] = static_cast<int32_t>(i);
    result["ready"] = array_of(std::move(timing.ready));
    result["start"] = array_of(std::move(timing.start));
    result["end"] = array_of(std::move(timing.end));
    result["done"] = array_of(std::move(timing.done));
    result["cause"] = array_of(std::move(timing.cause));
    result["blocker"] = array_of(std::move(timing.blocker));
    result["first"] = array_of(std::move(timing.first));
    result["last"] = array_of(std::move(timing.last));
    result["clock_change"] = array_of(std::move(timing.clock_change));
    result["producer"] = array_of(std::move(dependencies.producer));
    result["consumer"] = array_of(std::move(consumer));
    result["found"] = dependencies.found;
    result["merged"] = dependencies.merged;
    return result;
}

// (columns of each core, what is stuck): the second list is empty when the program ran to its end.
nb::tuple time_program(nb::dict machine, nb::dict class_columns, nb::list cores) {
    Machine facts = machine_of(std::move(machine));
    Columns classes(std::move(class_columns));
    std::vector<Cost> costs = costs_of(classes);
    std::vector<std::unique_ptr<CoreInput>> inputs;
    for (nb::handle core : cores) inputs.push_back(std::make_unique<CoreInput>(nb::cast<nb::dict>(core), classes));
    std::vector<Timing> timings;
    std::vector<Stuck> stuck;
    {
        nb::gil_scoped_release released;
        std::vector<CoreProgram> programs;
        for (auto& input : inputs) {
            input->prepare();
            timings.emplace_back(input->program.count);
            programs.push_back({input->program, &input->dependencies, input->banks.data()});
        }
        run(facts, costs, programs, timings, stuck);
    }
    nb::list results, blocked;
    for (size_t c = 0; c < inputs.size(); c++) results.append(columns_of(std::move(timings[c]), inputs[c]->dependencies));
    for (const Stuck& each : stuck)
        blocked.append(nb::make_tuple(each.core, each.engine, each.instruction, each.waits_for));
    return nb::make_tuple(results, blocked);
}

// (row of the table, the table in one piece): what is known to be complete when each instruction issues.
nb::tuple order_program(nb::dict class_columns, nb::dict core) {
    Columns classes(std::move(class_columns));
    CoreInput input(std::move(core), classes);
    {
        nb::gil_scoped_release released;
        input.dependencies = discover(input.program, *input.regions, input.spaces, input.skip);
    }
    std::vector<int32_t> table;
    table.reserve(input.dependencies.clocks.size() * slots);
    for (const auto& clock : input.dependencies.clocks) table.insert(table.end(), clock.begin(), clock.end());
    return nb::make_tuple(array_of(std::move(input.dependencies.clock)), array_of(std::move(table)));
}

// Old rows in their new order.
nb::object reorder_program(nb::dict class_columns, nb::dict core, Column<uint8_t> store, Column<uint8_t> fence,
                           int64_t window) {
    Columns classes(std::move(class_columns)), columns(std::move(core));
    Program program = program_of(columns, classes);
    std::unique_ptr<Regions> regions = regions_of(columns);
    std::vector<int64_t> order;
    {
        nb::gil_scoped_release released;
        order = reorder(program, *regions, store.data(), fence.data(), window);
    }
    return array_of(std::move(order));
}

}  // namespace

void bind(nb::module_& m) {
    m.def("time_program", &time_program, "machine"_a, "classes"_a, "cores"_a,
          "Dependencies and event loop of one program per core. See src/opentrn/timing/native.py.");
    m.def("order_program", &order_program, "classes"_a, "core"_a,
          "What each instruction of one core knows to be complete. See src/opentrn/timing/order.py.");
    m.def("reorder_program", &reorder_program, "classes"_a, "core"_a, "store"_a, "fence"_a, "window"_a,
          "One core's rows with stores held back. See src/opentrn/timing/reorder.py.");
}

}  // namespace opentrn::timing
