// Addresses by liveness: the twins of `_pack` and `_spread` in opentrn.program.allocate, which are their specifications.
#include "allocate.hpp"

#include <algorithm>
#include <deque>
#include <functional>
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
    explicit Occupied(int64_t capacity) : width_(granules(capacity)), counts_(static_cast<size_t>(quadrants * width_)) {}

    void add(const Extent& extent, Address at, int delta) {
        each_row(extent, at, [&](size_t begin, size_t end) {
            for (size_t n = begin; n < end; n++) counts_[n] += delta;
            return true;
        });
    }

    bool free(const Extent& extent, Address at) const {
        return each_row(extent, at, [&](size_t begin, size_t end) { return none(begin, end); });
    }

    // No tensor in any quadrant of these granules, which exist.
    bool free_everywhere(int64_t begin, int64_t end) const {
        for (int64_t row = 0; end <= width_ && row < quadrants; row++) {
            auto start = static_cast<size_t>(row * width_);
            if (!none(start + static_cast<size_t>(begin), start + static_cast<size_t>(end))) return false;
        }
        return end <= width_;
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

    bool none(size_t begin, size_t end) const {
        return std::all_of(counts_.data() + begin, counts_.data() + end, [](int32_t count) { return count == 0; });
    }

    // `body(begin, end)` on the counts of each quadrant's part of the window, as long as it says true.
    template <class Body> bool each_row(const Extent& extent, Address at, Body body) const {
        int64_t first = at.partition / quadrant_partitions;
        int64_t last = (at.partition + extent.partitions + quadrant_partitions - 1) / quadrant_partitions;
        int64_t begin = std::min(at.byte / granule, width_);
        int64_t end = std::min(granules(at.byte + extent.partition_bytes), width_);
        for (int64_t row = first; row < std::min<int64_t>(last, quadrants); row++) {
            if (!body(static_cast<size_t>(row * width_ + begin), static_cast<size_t>(row * width_ + end))) return false;
        }
        return true;
    }

    std::vector<char> busy_in(int quadrant, int count) const {
        std::vector<char> busy(static_cast<size_t>(width_), 0);
        for (int row = quadrant; row < quadrant + count; row++) {
            for (int64_t g = 0; g < width_; g++) busy[static_cast<size_t>(g)] |= counts_[static_cast<size_t>(row * width_ + g)] > 0;
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

struct Dead {
    Extent extent;
    Address at;
};

// The tensors that are live, by when they die.
class Living {
public:
    void add(const Allocation& tensor, const Extent& extent, Address at) {
        ending_.push({tensor.last, tensor.id, {extent, at}});
    }

    // `bury(dead)` for each tensor that died before `moment`, in order.
    template <class Bury> void end_before(int64_t moment, Bury bury) {
        for (; !ending_.empty() && ending_.top().last < moment; ending_.pop()) bury(ending_.top().dead);
    }

private:
    struct Ending {
        int64_t last, id;
        Dead dead;

        bool operator>(const Ending& other) const { return last != other.last ? last > other.last : id > other.id; }
    };

    std::priority_queue<Ending, std::vector<Ending>, std::greater<>> ending_;
};

// Places of dead tensors, by size.
class Vacated {
public:
    std::deque<Address>& of(const Extent& extent) { return places_[{extent.wanted_quadrants(), extent.partition_bytes}]; }

    // The place of one of equal size that is still free: of those that died last, or first.
    bool take(const Extent& extent, const Occupied& occupied, bool last, Address& at) {
        for (std::deque<Address>& places = of(extent); !places.empty();) {
            at = last ? places.back() : places.front();
            last ? places.pop_back() : places.pop_front();
            if (occupied.free(extent, at)) return true;
        }
        return false;
    }

private:
    std::map<std::pair<int, int64_t>, std::deque<Address>> places_;
};

std::vector<Allocation*> allocations_of(nb::list tensors) {
    std::vector<Allocation*> found;
    for (nb::handle tensor : tensors) found.push_back(&as_allocation(tensor.ptr()));
    return found;
}

Extent extent_of(const Allocation& tensor) { return {tensor.partitions, tensor.partition_bytes}; }

Address address_of(const Allocation& tensor) { return {address_part(tensor, 0), address_part(tensor, 1)}; }

void set_address(Allocation& tensor, Address at) {
    PyObject* before = tensor.address;
    tensor.address = nb::make_tuple(at.partition, at.byte).release().ptr();
    Py_DECREF(before);
}

int64_t pack(nb::list tensors, int64_t capacity, int64_t bank) {
    Occupied occupied(capacity);
    Living living;
    Vacated vacated;
    int64_t number = 0;
    for (Allocation* tensor : allocations_of(tensors)) {
        Extent extent = extent_of(*tensor);
        living.end_before(tensor->first, [&](const Dead& dead) {
            occupied.add(dead.extent, dead.at, -1);
            vacated.of(dead.extent).push_back(dead.at);
        });
        Address at = address_of(*tensor);
        if (!tensor->manual) {
            if (!vacated.take(extent, occupied, true, at) && !occupied.find(extent, bank, at)) return number;
            set_address(*tensor, at);
        }
        occupied.add(extent, at, +1);
        living.add(*tensor, extent, at);
        number++;
    }
    return -1;
}

// An address in memory that no tensor has had yet; `fresh` is the first byte of that.
bool untouched(const Occupied& occupied, const Extent& extent, int64_t bank, int64_t& fresh, Address& at) {
    int64_t start = fresh;
    if (bank && start % bank + extent.partition_bytes > bank) start = (start + bank - 1) / bank * bank;
    int64_t end = start + granules(extent.partition_bytes) * granule;
    if (!occupied.free_everywhere(start / granule, end / granule)) return false;
    at = {0, start};
    fresh = end;
    return true;
}

bool spread(nb::list tensors, int64_t capacity, int64_t bank) {
    Occupied occupied(capacity);
    Living living;
    Vacated vacated;
    std::vector<std::pair<Allocation*, Address>> chosen;
    int64_t fresh = 0;
    for (Allocation* tensor : allocations_of(tensors)) {
        if (tensor->manual) occupied.add(extent_of(*tensor), address_of(*tensor), +1);
    }
    for (Allocation* tensor : allocations_of(tensors)) {
        if (tensor->manual) continue;
        Extent extent = extent_of(*tensor);
        living.end_before(tensor->first, [&](const Dead& dead) {
            occupied.add(dead.extent, dead.at, -1);
            vacated.of(dead.extent).push_back(dead.at);
        });
        Address at;
        bool found = untouched(occupied, extent, bank, fresh, at) || vacated.take(extent, occupied, false, at) ||
                     occupied.find(extent, bank, at);
        if (!found) return false;
        chosen.emplace_back(tensor, at);
        occupied.add(extent, at, +1);
        living.add(*tensor, extent, at);
    }
    for (auto& [tensor, at] : chosen) set_address(*tensor, at);
    return true;
}

}  // namespace

void bind_allocate(nb::module_& m) {
    m.def("pack", &pack, "tensors"_a, "capacity"_a, "bank"_a,
          "Low addresses for tensors in the order of their first use; the position of the first that does not fit, or -1.");
    m.def("spread", &spread, "tensors"_a, "capacity"_a, "bank"_a,
          "Addresses as far apart in time as the memory allows; False, and nothing changed, when they do not fit so.");
}

}  // namespace opentrn
