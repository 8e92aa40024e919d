# Sets onnxruntime_headers to the folder of ONNX Runtime's headers, or to an empty string. Its Python wheel has none.
#
# Looked for in this order:
#   ONNXRUNTIME_INCLUDE_DIR     a variable of the environment or of CMake
#   the system                  /usr/include, /usr/local/include: Debian's and Ubuntu's libonnxruntime-dev, for example
#   ONNXRUNTIME_ARCHIVE         a local copy of the official release archive below
#   REDVILLM_ORT_DOWNLOAD=ON    the same archive, fetched from its official place; its sha256 is pinned

option(REDVILLM_ORT_DOWNLOAD "Fetch the official ONNX Runtime release if its headers are nowhere else" OFF)
set(ONNXRUNTIME_INCLUDE_DIR "" CACHE PATH "Folder with onnxruntime_cxx_api.h")
set(ONNXRUNTIME_ARCHIVE "" CACHE FILEPATH "Local copy of the official ONNX Runtime release archive")

set(release 1.22.0)
set(sha256_of_x64 8344d55f93d5bc5021ce342db50f62079daf39aaafb5d311a451846228be49b3)
set(sha256_of_aarch64 bb76395092d150b52c7092dc6b8f2fe4d80f0f3bf0416d2f269193e347e24702)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(architecture aarch64)
else()
  set(architecture x64)
endif()
set(archive_name "onnxruntime-linux-${architecture}-${release}.tgz")

# Sets `folder` to where in or below the given places the headers lie, or to an empty string.
function(redvillm_find_headers folder)
  set(found "")
  foreach(place IN LISTS ARGN)
    file(GLOB found "${place}/onnxruntime_cxx_api.h" "${place}/onnxruntime/onnxruntime_cxx_api.h"
      "${place}/onnxruntime/core/session/onnxruntime_cxx_api.h")
    if(found)
      break()
    endif()
  endforeach()
  if(found)
    list(GET found 0 found)
    get_filename_component(found "${found}" DIRECTORY)
  endif()
  set(${folder} "${found}" PARENT_SCOPE)
endfunction()

# Unpacks the archive, which must have the pinned checksum, and sets `folder`.
function(redvillm_unpack_headers archive folder)
  file(SHA256 "${archive}" checksum)
  if(NOT checksum STREQUAL sha256_of_${architecture})
    message(FATAL_ERROR "${archive} is not the official ${archive_name}: its sha256 is ${checksum}, "
      "${sha256_of_${architecture}} is wanted")
  endif()
  set(unpacked "${CMAKE_CURRENT_BINARY_DIR}/onnxruntime")
  file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${unpacked}")
  redvillm_find_headers(found "${unpacked}/onnxruntime-linux-${architecture}-${release}/include")
  set(${folder} "${found}" PARENT_SCOPE)
endfunction()

if(DEFINED ENV{ONNXRUNTIME_INCLUDE_DIR} AND NOT "$ENV{ONNXRUNTIME_INCLUDE_DIR}" STREQUAL "")
  # kept, because a build tool may configure again where the variable is no longer set
  set(ONNXRUNTIME_INCLUDE_DIR "$ENV{ONNXRUNTIME_INCLUDE_DIR}" CACHE PATH "Folder with onnxruntime_cxx_api.h" FORCE)
endif()
if(ONNXRUNTIME_INCLUDE_DIR)
  redvillm_find_headers(onnxruntime_headers "${ONNXRUNTIME_INCLUDE_DIR}")
  if(NOT onnxruntime_headers)
    message(FATAL_ERROR "ONNXRUNTIME_INCLUDE_DIR is ${ONNXRUNTIME_INCLUDE_DIR}, which holds no onnxruntime_cxx_api.h; "
      "give the right folder, or remove the build folder if it remembers an old one")
  endif()
else()
  redvillm_find_headers(onnxruntime_headers /usr/local/include /usr/include)
endif()

if(NOT onnxruntime_headers AND ONNXRUNTIME_ARCHIVE)
  redvillm_unpack_headers("${ONNXRUNTIME_ARCHIVE}" onnxruntime_headers)
elseif(NOT onnxruntime_headers AND REDVILLM_ORT_DOWNLOAD)
  set(archive "${CMAKE_CURRENT_BINARY_DIR}/${archive_name}")
  message(STATUS "redvillm: fetching ${archive_name}")
  file(DOWNLOAD "https://github.com/microsoft/onnxruntime/releases/download/v${release}/${archive_name}" "${archive}"
    EXPECTED_HASH SHA256=${sha256_of_${architecture}} STATUS status)
  list(GET status 0 failed)
  if(failed)
    list(GET status 1 reason)
    message(FATAL_ERROR "${archive_name} could not be fetched (${reason}); give a local copy with ONNXRUNTIME_ARCHIVE")
  endif()
  redvillm_unpack_headers("${archive}" onnxruntime_headers)
endif()
