// All that the kernels' pages include and that is not compiled for one instruction set. isa_*.cpp include it before they set
// theirs, so that no inline function of a standard header is compiled for it: a new one that a page includes goes here too.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "../../core/parallel.h"
#include "../backend.h"
#include "../registry.h"
#include "../workspace.h"
