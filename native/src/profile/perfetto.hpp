// Slices and counters of a Perfetto trace. The plain form of each function is in src/opentrn/profile/protobuf.py.
#pragma once

#include <nanobind/nanobind.h>

namespace opentrn {

void bind_perfetto(nanobind::module_& m);

}  // namespace opentrn
