// What a session accepts of a configuration, whoever calls.
#pragma once
#include "session.h"

namespace nasp {

// The configuration with isa and threads filled in. Throws Error ERR_NASP_ARGUMENT (or what an unknown operation
// throws).
SupernetConfig checked(SupernetConfig config);

}  // namespace nasp
