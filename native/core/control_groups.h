// The control groups that this process is in (cgroups), whose limits are the machine's for it.
#pragma once
#include <functional>
#include <string>

namespace nasp {

// Calls with the folder of each group that `controller` (cpu, memory) looks at, from this process's own to the root, in
// either version's tree. In a container the path may be the host's; then only the root of the mount is there, which is
// the container's own group. Folders need not exist.
void for_each_control_group(const std::string& controller,
                            const std::function<void(const std::string& folder)>& look);

}  // namespace nasp
