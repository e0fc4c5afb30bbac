#pragma once
#include <nanobind/nanobind.h>

namespace opentrn {

void bind_allocate(nanobind::module_& m);

}  // namespace opentrn
