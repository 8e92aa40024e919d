# Decides whether the CUDA kernels are built, and for which architectures. Sets REDVILLM_HAS_CUDA.
#
#   REDVILLM_CUDA                 AUTO: where nvcc compiles a small file; ON: or it is an error; OFF
#   REDVILLM_CUDA_ARCHITECTURES   for example 87;89; default: what the toolkit knows of the list below

set(REDVILLM_CUDA AUTO CACHE STRING "Build the CUDA kernels: AUTO, ON or OFF")
set(REDVILLM_CUDA_ARCHITECTURES "" CACHE STRING "CUDA architectures, for example 87;89; empty for all that the toolkit knows")
set(REDVILLM_HAS_CUDA OFF)

function(redvillm_no_cuda reason)
  if(REDVILLM_CUDA STREQUAL "AUTO")
    message(STATUS "CUDA kernels: not built, ${reason}")
  else()
    message(FATAL_ERROR "REDVILLM_CUDA=${REDVILLM_CUDA}: ${reason}; put the CUDA toolkit's nvcc on PATH or set CUDACXX, or leave it at AUTO")
  endif()
endfunction()

if(NOT REDVILLM_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "REDVILLM_CUDA is ${REDVILLM_CUDA}; legal values are AUTO, ON and OFF")
elseif(REDVILLM_CUDA STREQUAL "OFF")
  message(STATUS "CUDA kernels: not built, REDVILLM_CUDA=OFF")
  return()
endif()

include(CheckLanguage)
check_language(CUDA)  # compiles something small, in a project of its own
if(NOT CMAKE_CUDA_COMPILER)
  redvillm_no_cuda("there is no nvcc that works")
  return()
endif()

if(REDVILLM_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "${REDVILLM_CUDA_ARCHITECTURES}")
else()
  execute_process(COMMAND "${CMAKE_CUDA_COMPILER}" --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
  set(CMAKE_CUDA_ARCHITECTURES "")
  foreach(architecture 80 86 87 89 90 100 110 120)
    if("${known}" MATCHES "sm_${architecture}[^0-9]")
      list(APPEND CMAKE_CUDA_ARCHITECTURES ${architecture}-real)
      set(newest ${architecture})
    endif()
  endforeach()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    redvillm_no_cuda("${CMAKE_CUDA_COMPILER} knows none of the architectures from 80 on")
    return()
  endif()
  list(APPEND CMAKE_CUDA_ARCHITECTURES ${newest}-virtual)  # for devices to come
endif()
enable_language(CUDA)
find_package(CUDAToolkit QUIET)  # for the runtime as a static library: what is linked with it loads where there is no driver
if(NOT TARGET CUDA::cudart_static)
  redvillm_no_cuda("the toolkit of ${CMAKE_CUDA_COMPILER} has no static CUDA runtime")
  return()
endif()
message(STATUS "CUDA kernels: ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")
set(REDVILLM_HAS_CUDA ON)
