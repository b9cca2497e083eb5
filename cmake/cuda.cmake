# The CUDA backend, nasp_cuda.so beside nasp.node (docs/cuda.md): built where a CUDA toolkit 12 or 13 and cuDNN 9.8 are found,
# skipped with one line where they are not; NASP_CUDA=ON (npm run build:cuda) makes it required. NASP_CUDA_EMULATION=ON
# builds the same objects over doubles of CUDA's libraries as well, build/emulation/nasp_cuda_emu.so, for tests.
set(NASP_CUDA AUTO CACHE STRING "Build the CUDA backend: AUTO, ON or OFF")
set(NASP_CUDA_EMULATION OFF CACHE BOOL "Build the CUDA backend for the CPU as well, for tests")
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})

function(nasp_without_cuda reason)
  if(NASP_CUDA STREQUAL "ON")
    message(FATAL_ERROR "nasp: the CUDA backend can't be built: ${reason}")
  endif()
  message(STATUS "nasp: building without CUDA: ${reason}")
endfunction()

if(NASP_CUDA STREQUAL "OFF")
  return()
endif()
if(CMAKE_VERSION VERSION_LESS 3.22)
  nasp_without_cuda("it takes CMake 3.22")
  return()
endif()
if(NOT CMAKE_CUDA_COMPILER)
  unset(CMAKE_CUDA_COMPILER CACHE)  # of a check that failed the last time
endif()
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(NASP_NVCC nvcc HINTS ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin NO_CACHE)
  if(NOT NASP_NVCC)
    nasp_without_cuda("no nvcc in PATH, CUDA_PATH or /usr/local/cuda")
    return()
  endif()
  set(ENV{CUDACXX} ${NASP_NVCC})  # not CMAKE_CUDA_COMPILER: check_language would check nothing
endif()
find_package(CUDAToolkit 12 QUIET)
if(NOT CUDAToolkit_FOUND)
  nasp_without_cuda("no CUDA toolkit 12 or newer")
  return()
endif()
find_path(NASP_NVTX nvtx3/nvToolsExt.h PATHS ${CUDAToolkit_INCLUDE_DIRS} NO_DEFAULT_PATH)
if(NOT TARGET CUDA::cudart_static OR NOT NASP_NVTX)
  nasp_without_cuda("the CUDA toolkit lacks libcudart_static.a or nvtx3/nvToolsExt.h")
  return()
endif()
find_package(CUDNN 9.8 QUIET)
if(NOT CUDNN_FOUND)
  nasp_without_cuda("no cuDNN 9.8 or newer with cuBLAS; set CUDNN_ROOT, or NASP_PYTHON to a Python with NVIDIA's wheels")
  return()
endif()

if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90)  # machine code for A100 and H100, and PTX for what follows
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  nasp_without_cuda("nvcc does not work; CMakeFiles/CMakeConfigureLog.yaml (before CMake 3.26: CMakeError.log) says why (CUDAHOSTCXX names another C++ compiler)")
  return()
endif()
enable_language(CUDA)
foreach(kind STANDARD EXTENSION)  # nvcc 12 and 13 know C++20, CMake before 3.26 does not know it
  if(NOT CMAKE_CUDA20_${kind}_COMPILE_OPTION)
    set(CMAKE_CUDA20_${kind}_COMPILE_OPTION -std=c++20)
  endif()
endforeach()
message(STATUS "nasp: building the CUDA backend: toolkit ${CUDAToolkit_VERSION}, cuDNN ${CUDNN_VERSION}")

file(GLOB CUDA_SOURCES CONFIGURE_DEPENDS native/backends/cuda/*.cpp native/backends/cuda/*.cu)
add_library(nasp_cuda_objects OBJECT ${CUDA_SOURCES})
set_target_properties(nasp_cuda_objects PROPERTIES CUDA_STANDARD 20 CUDA_VISIBILITY_PRESET hidden)
# Host functions that are constexpr (core/rng.h) are the device's too.
target_compile_options(nasp_cuda_objects PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>)
target_include_directories(nasp_cuda_objects SYSTEM PUBLIC
  ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE_DIR} ${CUBLAS_INCLUDE_DIR})

add_library(nasp_cuda MODULE $<TARGET_OBJECTS:nasp_cuda_objects>)
set_target_properties(nasp_cuda PROPERTIES
  PREFIX "" SUFFIX ".so" LINKER_LANGUAGE CXX CUDA_RUNTIME_LIBRARY None
  LIBRARY_OUTPUT_DIRECTORY $<1:${CMAKE_CURRENT_SOURCE_DIR}/build/Release>)
target_link_libraries(nasp_cuda PRIVATE CUDA::cudart_static cuda::cudnn cuda::cublas -Wl,--no-undefined)

if(NASP_CUDA_EMULATION)
  file(GLOB EMULATION_SOURCES CONFIGURE_DEPENDS native/backends/cuda/emulation/*.cpp)
  add_library(nasp_cuda_emu MODULE $<TARGET_OBJECTS:nasp_cuda_objects> ${EMULATION_SOURCES})
  set_target_properties(nasp_cuda_emu PROPERTIES
    PREFIX "" SUFFIX ".so" LINKER_LANGUAGE CXX CUDA_RUNTIME_LIBRARY None
    LIBRARY_OUTPUT_DIRECTORY $<1:${CMAKE_CURRENT_SOURCE_DIR}/build/emulation>)
  target_include_directories(nasp_cuda_emu SYSTEM PRIVATE
    ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE_DIR} ${CUBLAS_INCLUDE_DIR})
  target_link_libraries(nasp_cuda_emu PRIVATE cuda::cudnn ${CMAKE_DL_LIBS} -Wl,--no-undefined)
endif()

# Asks cuDNN for plans, on no card: see its head comment. Not built unless asked for.
add_executable(nasp_plan_table EXCLUDE_FROM_ALL
  native/backends/cuda/tools/plan_table.cpp native/ops/operation.cpp $<TARGET_OBJECTS:nasp_cuda_objects>)
set_target_properties(nasp_plan_table PROPERTIES LINKER_LANGUAGE CXX CUDA_RUNTIME_LIBRARY None)
target_include_directories(nasp_plan_table SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE_DIR})
target_link_libraries(nasp_plan_table PRIVATE CUDA::cudart_static cuda::cudnn cuda::cublas)
