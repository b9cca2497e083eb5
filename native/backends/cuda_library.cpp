#include "cuda_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <mutex>

#include "../core/error.h"
#include "cuda/table.h"

namespace nasp {

namespace {

Error unsupported(const std::string& message) { return Error("ERR_NASP_UNSUPPORTED", message); }

std::string folder_of_this() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&folder_of_this), &info) || !info.dli_fname) return ".";
  const std::string path = info.dli_fname;
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string path_of(const std::string& name) {
  const char* emulation = std::getenv("NASP_CUDA_EMULATION");
  if (name == "cuda-emulated" && emulation && *emulation) return emulation;
  const std::string folder = folder_of_this();
  return name == "cuda" ? folder + "/nasp_cuda.so" : folder + "/../emulation/nasp_cuda_emu.so";
}

// Libraries that are already in the process are found by their names, wherever they came from.
void preload_cudnn() {
  const char* folder = std::getenv("NASP_CUDNN_PATH");
  if (!folder || !*folder) return;
  for (const char* name :
       {"libcublasLt.so.13", "libcublasLt.so.12", "libcublas.so.13", "libcublas.so.12", "libcudnn.so.9"}) {
    dlopen((std::string(folder) + "/" + name).c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
}

std::string why_not_opened(const std::string& name, const std::string& path, const std::string& error) {
  if (error.find("libcudnn") != std::string::npos || error.find("libcublas") != std::string::npos) {
    return "The CUDA library needs cuDNN 9.8 or newer and cuBLAS, which were not found (" + error +
           "): install them, or set NASP_CUDNN_PATH to their folder";
  }
  if (error.find(path + ": cannot open shared object file") != std::string::npos) {
    return "The " + name + " library is not built (" + path +
           " is not there): `npm run build:cuda` builds it, with a CUDA toolkit 12 or 13 and cuDNN 9.8";
  }
  return "The CUDA library could not be loaded: " + error;
}

// The library's table; throws Error.
const CudaTable& open_table(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, const CudaTable*> tables;
  const std::lock_guard<std::mutex> lock(mutex);
  if (const auto found = tables.find(name); found != tables.end()) return *found->second;
  const std::string path = path_of(name);
  preload_cudnn();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw unsupported(why_not_opened(name, path, dlerror()));
  const auto function = reinterpret_cast<CudaTableFunction>(dlsym(library, cuda_table_symbol));
  const CudaTable* table = function ? function() : nullptr;
  if (!table || table->version != CudaTable::current || table->size != sizeof(CudaTable) ||
      table->backend_size != sizeof(Backend<float>) || table->device_size != sizeof(DeviceFunctions) ||
      table->step_size != sizeof(StepFunctions<float>) || table->layout != CudaTable::current_layout) {
    throw unsupported("The CUDA library " + path +
                      " is of another build than nasp.node: build both again with `npm run build:cuda`");
  }
  return *(tables[name] = table);
}

}  // namespace

bool is_cuda(const std::string& name) { return name == "cuda" || name == "cuda-emulated"; }

const Backend<float>& cuda_backend(const std::string& name) {
  const CudaTable& table = open_table(name);
  char text[512];
  if (table.find_device(text, sizeof(text)) != 0) throw unsupported(text);
  return *table.backend;
}

CudaStatus cuda_status() {
  CudaStatus status;
  try {
    const CudaTable& table = open_table("cuda");
    char text[512];
    table.libraries(text, sizeof(text));
    status.libraries = text;
    const int error = table.find_device(text, sizeof(text));
    (error == 0 ? status.device : status.absence) = text;
  } catch (const Error& error) {
    status.absence = error.what();
  }
  return status;
}

}  // namespace nasp
