// Addresses by liveness: the twin of `_place_all` in opentrn.program.allocate, which is its specification.
#include "allocate.hpp"

#include <algorithm>
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
        each_row(extent, at, [&](int32_t* begin, int32_t* end) {
            for (int32_t* count = begin; count < end; count++) *count += delta;
            return true;
        });
    }

    bool free(const Extent& extent, Address at) {
        return each_row(extent, at,
                        [](int32_t* begin, int32_t* end) { return std::all_of(begin, end, [](int32_t n) { return n == 0; }); });
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

struct Ending {
    int64_t last, id;
    Extent extent;
    Address at;

    bool operator>(const Ending& other) const { return last != other.last ? last > other.last : id > other.id; }
};

// Sets the address of each tensor (in the order of their first use) that has none by hand. The position of the first
// that does not fit, or -1.
int64_t place(nb::list tensors, int64_t capacity, int64_t bank) {
    Occupied occupied(capacity);
    std::priority_queue<Ending, std::vector<Ending>, std::greater<>> ending;
    std::map<std::pair<int, int64_t>, std::vector<Address>> vacated;
    for (size_t n = 0; n < tensors.size(); n++) {
        Allocation& tensor = as_allocation(PyList_GetItem(tensors.ptr(), static_cast<Py_ssize_t>(n)));
        Extent extent{tensor.partitions, tensor.partition_bytes};
        while (!ending.empty() && ending.top().last < tensor.first) {
            const Ending& dead = ending.top();
            occupied.add(dead.extent, dead.at, -1);
            vacated[{dead.extent.wanted_quadrants(), dead.extent.partition_bytes}].push_back(dead.at);
            ending.pop();
        }
        Address at{address_part(tensor, 0), address_part(tensor, 1)};
        if (!tensor.manual) {
            auto& places = vacated[{extent.wanted_quadrants(), extent.partition_bytes}];
            bool found = false;
            while (!found && !places.empty()) {
                at = places.back();
                places.pop_back();
                found = occupied.free(extent, at);
            }
            if (!found && !occupied.find(extent, bank, at)) return static_cast<int64_t>(n);
            nb::tuple address = nb::make_tuple(at.partition, at.byte);
            PyObject* before = tensor.address;
            tensor.address = address.release().ptr();
            Py_DECREF(before);
        }
        occupied.add(extent, at, +1);
        ending.push({tensor.last, tensor.id, extent, at});
    }
    return -1;
}

}  // namespace

void bind_allocate(nb::module_& m) {
    m.def("place", &place, "tensors"_a, "capacity"_a, "bank"_a,
          "Addresses for tensors in the order of their first use; the position of the first that does not fit, or -1.");
}

}  // namespace opentrn
