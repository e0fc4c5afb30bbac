// Addresses by liveness: the twins of `_place_all` and `_spread_all` in opentrn.program.allocate.
#include "allocate.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <queue>
#include <vector>

#include "layout.hpp"
#include "python.hpp"
#include "storage.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace opentrn {

namespace {

constexpr int quadrants = 4;
constexpr int64_t granule = 16, quadrant_partitions = 32;

int64_t granules(int64_t bytes) { return (bytes + granule - 1) / granule; }

struct Address {
    int64_t partition, byte;
};

struct Extent {
    int64_t partitions, partition_bytes;

    int wanted_quadrants() const { return partitions <= 32 ? 1 : partitions <= 64 ? 2 : quadrants; }
};

// The quadrants and granules of one memory, and how many live tensors cover each.
class Occupied {
public:
    explicit Occupied(int64_t capacity)
        : width_(granules(capacity)), counts_(static_cast<size_t>(quadrants * width_)) {}

    void add(const Extent& extent, Address at, int delta) {
        each_row(extent, at, [&](int32_t* begin, int32_t* end) {
            for (int32_t* count = begin; count < end; count++) *count += delta;
            return true;
        });
    }

    bool free(const Extent& extent, Address at) {
        return each_row(extent, at, [](int32_t* begin, int32_t* end) {
            return std::all_of(begin, end, [](int32_t count) { return count == 0; });
        });
    }

    // The lowest free byte, in the lowest quadrant that has it. `bank` in bytes, 0: none.
    bool find(const Extent& extent, int64_t bank, Address& best) const {
        int step = extent.wanted_quadrants();
        bool found = false;
        for (int quadrant = 0; quadrant < quadrants; quadrant += step) {
            int64_t start = first_fit(busy_in(quadrant, step), granules(extent.partition_bytes), bank / granule);
            if (start >= 0 && (!found || start * granule < best.byte)) {
                best = {quadrant * quadrant_partitions, start * granule};
                found = true;
            }
            if (found && best.byte == 0) break;
        }
        return found;
    }

private:
    int64_t width_;
    std::vector<int32_t> counts_;

    // `body(begin, end)` on each quadrant's part of the window, as long as it says true.
    template <class Body> bool each_row(const Extent& extent, Address at, Body body) {
        int64_t first = at.partition / quadrant_partitions;
        int64_t last = (at.partition + extent.partitions + quadrant_partitions - 1) / quadrant_partitions;
        int64_t begin = std::min(at.byte / granule, width_);
        int64_t end = std::min(granules(at.byte + extent.partition_bytes), width_);
        for (int64_t row = first; row < std::min<int64_t>(last, quadrants); row++) {
            int32_t* counts = counts_.data() + row * width_;
            if (!body(counts + begin, counts + end)) return false;
        }
        return true;
    }

    std::vector<char> busy_in(int quadrant, int count) const {
        std::vector<char> busy(static_cast<size_t>(width_), 0);
        for (int row = quadrant; row < quadrant + count; row++) {
            const int32_t* counts = counts_.data() + row * width_;
            for (int64_t g = 0; g < width_; g++) busy[static_cast<size_t>(g)] |= counts[g] > 0;
        }
        return busy;
    }

    // Start of the first free run of `need` granules between `begin` and `end`, or -1.
    static int64_t first_run(const std::vector<char>& busy, int64_t begin, int64_t end, int64_t need) {
        for (int64_t g = begin, run = 0; g < end; g++) {
            run = busy[static_cast<size_t>(g)] ? 0 : run + 1;
            if (run >= need && run > 0) return g - need + 1;
        }
        return -1;
    }

    // With a bank: within one, or from the start of one when it is larger.
    static int64_t first_fit(const std::vector<char>& busy, int64_t need, int64_t bank) {
        auto width = static_cast<int64_t>(busy.size());
        if (bank == 0) return first_run(busy, 0, width, need);
        for (int64_t base = 0; base < width; base += bank) {
            int64_t end = need > bank ? base + need : std::min(base + bank, width);
            if (end > width) continue;
            int64_t found = first_run(busy, base, end, need);
            if (found >= 0) return found;
        }
        return -1;
    }
};

struct Ending {
    int64_t last, id;
    Extent extent;
    Address at;

    bool operator>(const Ending& other) const { return last != other.last ? last > other.last : id > other.id; }
};

Allocation& tensor_at(nb::list tensors, size_t n) {
    return as_allocation(PyList_GetItem(tensors.ptr(), static_cast<Py_ssize_t>(n)));
}

void set_address(Allocation& tensor, Address at) {
    PyObject* before = tensor.address;
    tensor.address = nb::make_tuple(at.partition, at.byte).release().ptr();
    Py_DECREF(before);
}

// The tensors that are live, and by size the places of those that are dead, the latest last.
class Lives {
public:
    using Size = std::pair<int, int64_t>;

    explicit Lives(Occupied& occupied) : occupied_(occupied) {}

    static Size size_of(const Extent& extent) { return {extent.wanted_quadrants(), extent.partition_bytes}; }

    void begin(const Allocation& tensor, const Extent& extent, Address at) {
        occupied_.add(extent, at, +1);
        ending_.push({tensor.last, tensor.id, extent, at});
    }

    void end_before(int64_t first) {
        while (!ending_.empty() && ending_.top().last < first) {
            const Ending& dead = ending_.top();
            occupied_.add(dead.extent, dead.at, -1);
            vacated[size_of(dead.extent)].push_back(dead.at);
            ending_.pop();
        }
    }

    // A dead tensor's place into which nothing has moved: the latest or the oldest.
    bool reuse(const Extent& extent, bool oldest, Address& at) {
        auto& places = vacated[size_of(extent)];
        while (!places.empty()) {
            at = oldest ? places.front() : places.back();
            oldest ? places.pop_front() : places.pop_back();
            if (occupied_.free(extent, at)) return true;
        }
        return false;
    }

private:
    Occupied& occupied_;
    std::priority_queue<Ending, std::vector<Ending>, std::greater<>> ending_;
    std::map<Size, std::deque<Address>> vacated;
};

// Sets the address of each tensor (in the order of their first use) that has none by hand. The position of the first
// that does not fit, or -1.
int64_t place(nb::list tensors, int64_t capacity, int64_t bank) {
    Occupied occupied(capacity);
    Lives lives(occupied);
    for (size_t n = 0; n < tensors.size(); n++) {
        Allocation& tensor = tensor_at(tensors, n);
        Extent extent{tensor.partitions, tensor.partition_bytes};
        lives.end_before(tensor.first);
        Address at{address_part(tensor, 0), address_part(tensor, 1)};
        if (!tensor.manual) {
            if (!lives.reuse(extent, false, at) && !occupied.find(extent, bank, at)) return static_cast<int64_t>(n);
            set_address(tensor, at);
        }
        lives.begin(tensor, extent, at);
    }
    return -1;
}

// The same with as much time as possible between two tensors of one place (`_spread_all`). False when one does not fit.
bool spread(nb::list tensors, int64_t capacity, int64_t bank, bool fresh_first) {
    Occupied occupied(capacity);
    Lives lives(occupied);
    for (size_t n = 0; n < tensors.size(); n++) {
        const Allocation& tensor = tensor_at(tensors, n);
        if (!tensor.manual) continue;
        Address at{address_part(tensor, 0), address_part(tensor, 1)};
        occupied.add({tensor.partitions, tensor.partition_bytes}, at, +1);
    }
    int64_t fresh = fresh_first ? 0 : capacity;
    for (size_t n = 0; n < tensors.size(); n++) {
        Allocation& tensor = tensor_at(tensors, n);
        if (tensor.manual) continue;
        Extent extent{tensor.partitions, tensor.partition_bytes};
        lives.end_before(tensor.first);
        bool crosses = bank > 0 && fresh % bank + extent.partition_bytes > bank;
        Address at{0, crosses ? (fresh + bank - 1) / bank * bank : fresh};
        int64_t end = at.byte + granules(extent.partition_bytes) * granule;
        if (end <= granules(capacity) * granule && occupied.free({128, extent.partition_bytes}, at)) {
            fresh = end;
        } else if (!lives.reuse(extent, true, at) && !occupied.find(extent, bank, at)) {
            return false;
        }
        set_address(tensor, at);
        lives.begin(tensor, extent, at);
    }
    return true;
}

}  // namespace

void bind_allocate(nb::module_& m) {
    m.def("place", &place, "tensors"_a, "capacity"_a, "bank"_a,
          "Addresses for tensors in the order of their first use; the position of the first that does not fit, or -1.");
    m.def("spread", &spread, "tensors"_a, "capacity"_a, "bank"_a, "fresh_first"_a,
          "Addresses that let tiles be filled ahead; False when a tensor does not fit in that way.");
}

}  // namespace opentrn
