#include "control_groups.h"

#include <fstream>

namespace nasp {

void for_each_control_group(const std::string& controller,
                            const std::function<void(const std::string& folder)>& look) {
  std::ifstream groups("/proc/self/cgroup");  // lines "id:controllers:path"
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first, second - first);  // ":cpu,cpuacct"
    controllers[0] = ',';
    controllers += ',';
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(',' + controller + ',') == std::string::npos) continue;
    const std::string mount = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller;
    std::string path = line.substr(second + 1);
    for (;;) {
      look(mount + path);
      if (path.empty()) break;
      path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
  }
}

}  // namespace nasp
