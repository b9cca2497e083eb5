# cuDNN 9 and cuBLAS: targets cuda::cudnn and cuda::cublas. Looked for, in this order, in CUDNN_ROOT, CUDNN_PATH or CUDNN_HOME
# (variable or environment), in NVIDIA's Python wheels for the toolkit's CUDA (nvidia-cudnn-cu12 or -cu13, nvidia-cublas) as
# NASP_PYTHON or python3 sees them, in the CUDA toolkit and in the system. Wheels hold versioned files only (libcudnn.so.9).
# To be called after find_package(CUDAToolkit).
include(FindPackageHandleStandardArgs)

set(places "")
foreach(variable CUDNN_ROOT CUDNN_PATH CUDNN_HOME)
  foreach(value "${${variable}}" "$ENV{${variable}}")
    if(value)
      list(APPEND places "${value}")
    endif()
  endforeach()
endforeach()

if(NOT NASP_PYTHON)
  find_program(NASP_PYTHON NAMES python3 python)
endif()
if(NASP_PYTHON)
  # Folders are named the same for every CUDA before 13, the packages are not. They have no __init__.py: find_spec knows
  # where they are all the same.
  execute_process(
    COMMAND ${NASP_PYTHON} -c "
import importlib.metadata, importlib.util
cuda = 'cu${CUDAToolkit_VERSION_MAJOR}'
for wheel, name in ('cudnn-' + cuda, 'cudnn'), ('cublas', cuda), ('cublas-' + cuda, 'cublas'):
    try:
        importlib.metadata.version('nvidia-' + wheel)
        spec = importlib.util.find_spec('nvidia.' + name)
    except ModuleNotFoundError:
        spec = None
    if spec:
        print(list(spec.submodule_search_locations)[0])"
    OUTPUT_VARIABLE wheels OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  string(REPLACE "\n" ";" wheels "${wheels}")
  list(APPEND places ${wheels})
endif()

find_path(CUDNN_INCLUDE_DIR cudnn_backend.h HINTS ${places} ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include)
find_library(CUDNN_LIBRARY NAMES libcudnn.so.9 cudnn HINTS ${places} ${CUDAToolkit_LIBRARY_DIR}
  PATH_SUFFIXES lib lib64)
find_path(CUBLAS_INCLUDE_DIR cublas_v2.h HINTS ${places} ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include)
find_library(CUBLAS_LIBRARY NAMES libcublas.so.${CUDAToolkit_VERSION_MAJOR} cublas
  HINTS ${places} ${CUDAToolkit_LIBRARY_DIR} PATH_SUFFIXES lib lib64)

if(CUDNN_INCLUDE_DIR AND EXISTS "${CUDNN_INCLUDE_DIR}/cudnn_version.h")
  file(STRINGS "${CUDNN_INCLUDE_DIR}/cudnn_version.h" numbers REGEX "#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) ")
  string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*LEVEL ([0-9]+).*" "\\1.\\2.\\3" CUDNN_VERSION "${numbers}")
endif()
find_package_handle_standard_args(CUDNN
  REQUIRED_VARS CUDNN_LIBRARY CUDNN_INCLUDE_DIR CUBLAS_LIBRARY CUBLAS_INCLUDE_DIR VERSION_VAR CUDNN_VERSION)
mark_as_advanced(CUDNN_INCLUDE_DIR CUDNN_LIBRARY CUBLAS_INCLUDE_DIR CUBLAS_LIBRARY)

if(CUDNN_FOUND AND NOT TARGET cuda::cudnn)
  foreach(name cudnn cublas)
    string(TOUPPER ${name} upper)
    add_library(cuda::${name} UNKNOWN IMPORTED)
    set_target_properties(cuda::${name} PROPERTIES
      IMPORTED_LOCATION "${${upper}_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${${upper}_INCLUDE_DIR}")
  endforeach()
endif()
