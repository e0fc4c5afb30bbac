// Slices and counters of a Perfetto trace. The plain form of each function is in src/opentrn/profile/protobuf.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class T> using Column = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

constexpr int sequence = 1, needs_state = 2;
constexpr int begin_type = 1, end_type = 2, counter_type = 4;
constexpr int wire_varint = 0, wire_fixed64 = 1, wire_length = 2;

// Each writer takes where to write and gives back the end of what it wrote. Plain pointers: a byte may alias any
// member, so a class would reload its own fields after every byte.
uint8_t* put_varint(uint8_t* to, uint64_t value) {
    for (; value > 0x7f; value >>= 7) *to++ = static_cast<uint8_t>(value) | 0x80;
    *to++ = static_cast<uint8_t>(value);
    return to;
}
uint8_t* put_tag(uint8_t* to, int field, int wire) { return put_varint(to, static_cast<uint64_t>(field) << 3 | wire); }
uint8_t* put_number(uint8_t* to, int field, uint64_t value) {
    return put_varint(put_tag(to, field, wire_varint), value);
}
uint8_t* put_bytes(uint8_t* to, const void* from, size_t count) {
    std::memcpy(to, from, count);
    return to + count;
}
uint8_t* put_fixed(uint8_t* to, int field, const void* eight) {
    return put_bytes(put_tag(to, field, wire_fixed64), eight, 8);
}
uint8_t* put_message(uint8_t* to, int field, const uint8_t* body, size_t count) {
    return put_bytes(put_varint(put_tag(to, field, wire_length), count), body, count);
}

// The most bytes that each part can take.
constexpr size_t head_room = 64;  // a packet without its event; an event without annotations and flows
constexpr size_t note_room = 32;
constexpr size_t flow_room = 10;

// Packets around TrackEvents (protos/perfetto/trace/trace_packet.proto), one after another.
class Packets {
  public:
    // Where to write the next event; `more` is the room for its annotations and flows.
    uint8_t* event(size_t more) {
        if (event_.size() < head_room + more) event_.resize(head_room + more);
        return event_.data();
    }
    void finish(const uint8_t* event_end, int64_t time, bool interned) {
        size_t event_size = event_end - event_.data();
        uint8_t head[head_room];
        uint8_t* to = put_number(head, 8, static_cast<uint64_t>(time));
        to = put_number(to, 10, sequence);
        if (interned) to = put_number(to, 13, needs_state);
        to = put_varint(put_tag(to, 11, wire_length), event_size);
        size_t head_size = to - head, most = size_ + head_room + head_size + event_size;
        if (most > bytes_.size()) bytes_.resize(2 * most);
        to = put_varint(put_tag(bytes_.data() + size_, 1, wire_length), head_size + event_size);
        to = put_bytes(to, head, head_size);
        size_ = put_bytes(to, event_.data(), event_size) - bytes_.data();
    }
    nb::bytes bytes() const { return nb::bytes(bytes_.data(), size_); }

  private:
    std::vector<uint8_t> bytes_, event_;
    size_t size_ = 0;
};

struct Note {
    uint64_t name;
    int value_field;
    Column<int64_t> values;
};

struct Flows {
    Column<int64_t> first;
    Column<uint64_t> ids;

    explicit Flows(nb::tuple pair)
        : first(nb::cast<Column<int64_t>>(pair[0])), ids(nb::cast<Column<uint64_t>>(pair[1])) {}
    size_t count(int64_t row) const {
        if (row < 0 || static_cast<size_t>(row) + 1 >= first.shape(0)) throw nb::index_error("a row without flows");
        return static_cast<size_t>(first(row + 1) - first(row));
    }
    uint8_t* put(uint8_t* to, int field, int64_t row) const {
        for (int64_t k = first(row); k < first(row + 1); k++) to = put_fixed(to, field, ids.data() + k);
        return to;
    }
};

std::vector<Note> notes_of(nb::handle notes) {
    std::vector<Note> made;
    for (nb::handle item : notes) {
        auto fields = nb::cast<nb::tuple>(item);
        made.push_back({nb::cast<uint64_t>(fields[0]), nb::cast<bool>(fields[1]) ? 17 : 3,
                        nb::cast<Column<int64_t>>(fields[2])});
    }
    return made;
}

uint8_t* put_notes(uint8_t* to, const std::vector<Note>& notes, size_t n) {
    uint8_t body[note_room];
    for (const Note& note : notes) {
        int64_t value = note.values.data()[n];
        if (value < 0) continue;
        uint8_t* end = put_number(put_number(body, 1, note.name), note.value_field, static_cast<uint64_t>(value));
        to = put_message(to, 4, body, end - body);
    }
    return to;
}

nb::bytes slices(uint64_t track, Column<int64_t> rows, nb::tuple times, Column<int64_t> names, nb::handle annotations,
                 nb::tuple starts_flows, nb::tuple ends_flows) {
    auto begin = nb::cast<Column<int64_t>>(times[0]), end = nb::cast<Column<int64_t>>(times[1]);
    std::vector<Note> notes = notes_of(annotations);
    Flows out(starts_flows), in(ends_flows);
    size_t count = rows.shape(0);
    bool same = begin.shape(0) == count && end.shape(0) == count && names.shape(0) == count;
    for (const Note& note : notes) same = same && note.values.shape(0) == count;
    if (!same) throw nb::value_error("every column needs one entry per slice");
    Packets packets;
    for (size_t n = 0; n < count; n++) {
        size_t flows = out.count(rows(n)) + in.count(rows(n));
        uint8_t* to = packets.event(notes.size() * note_room + flows * flow_room);
        to = put_number(put_number(put_number(to, 9, begin_type), 11, track), 10, static_cast<uint64_t>(names(n)));
        to = put_notes(to, notes, n);
        to = in.put(out.put(to, 47, rows(n)), 48, rows(n));
        packets.finish(to, begin(n), true);
        packets.finish(put_number(put_number(packets.event(0), 9, end_type), 11, track), end(n), false);
    }
    return packets.bytes();
}

nb::bytes counters(uint64_t track, Column<int64_t> times, Column<double> values) {
    if (times.shape(0) != values.shape(0)) throw nb::value_error("every column needs one entry per sample");
    Packets packets;
    for (size_t n = 0; n < times.shape(0); n++) {
        uint8_t* to = put_number(put_number(packets.event(0), 9, counter_type), 11, track);
        packets.finish(put_fixed(to, 44, values.data() + n), times(n), false);
    }
    return packets.bytes();
}

// First fit: the lowest lane that is free at `begin`, into `lane`.
void lanes(Column<int64_t> begin, Column<int64_t> end, nb::ndarray<int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> lane) {
    if (begin.shape(0) != end.shape(0) || begin.shape(0) != lane.shape(0)) {
        throw nb::value_error("every column needs one entry per interval");
    }
    std::vector<int64_t> free_from;
    for (size_t n = 0; n < begin.shape(0); n++) {
        size_t k = 0;
        while (k < free_from.size() && free_from[k] > begin(n)) k++;
        if (k == free_from.size()) free_from.push_back(0);
        free_from[k] = end(n);
        lane(n) = static_cast<int32_t>(k);
    }
}

}  // namespace

namespace opentrn::profile {

void bind(nb::module_& m) {
    m.def("perfetto_slices", &slices, "track"_a, "rows"_a, "times"_a, "names"_a, "notes"_a, "starts_flows"_a,
          "ends_flows"_a, "A begin and an end packet for each slice of one track.");
    m.def("perfetto_counters", &counters, "track"_a, "times"_a, "values"_a, "One packet per sample of a counter track.");
    m.def("perfetto_lanes", &lanes, "begin"_a, "end"_a, "lane"_a, "The lowest free lane for each interval.");
}

}  // namespace opentrn::profile
