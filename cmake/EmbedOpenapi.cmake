# prunella_embed_openapi(TARGET): links TARGET to a library that holds specs/openapi.yaml as JSON, with "openapi_json.h" beside it
# (`prunella::kOpenapiJson`). Made once, however many targets ask. Needs python3 with PyYAML (python3-yaml) when building.

find_package(Python3 REQUIRED COMPONENTS Interpreter)

function(prunella_embed_openapi target)
  if(NOT TARGET prunella_openapi)
    set(folder ${CMAKE_BINARY_DIR}/generated/openapi)
    set(script ${CMAKE_SOURCE_DIR}/cmake/embed_openapi.py)
    set(document ${CMAKE_SOURCE_DIR}/specs/openapi.yaml)
    add_custom_command(
      OUTPUT ${folder}/openapi_json.h ${folder}/openapi_json.cc
      COMMAND ${Python3_EXECUTABLE} ${script} ${document} ${folder}
      DEPENDS ${document} ${script}
      COMMENT "openapi.yaml as JSON"
      VERBATIM)
    add_library(prunella_openapi STATIC ${folder}/openapi_json.cc ${folder}/openapi_json.h)
    target_include_directories(prunella_openapi PUBLIC ${folder})
    target_link_libraries(prunella_openapi PRIVATE prunella_options)
  endif()
  target_link_libraries(${target} PRIVATE prunella_openapi)
  # A header that is made must be there before those who include it are compiled.
  add_dependencies(${target} prunella_openapi)
endfunction()
